// The ablation's page: choices go into the address, and the parts that they change are put anew.
import { piece, say } from "./api.js";
import { refresh } from "./page.js";

const SECONDS_BETWEEN_LOOKS = 1.5;

const answer = document.getElementById("answer");
const now = document.getElementById("now");
const served = new Map([...parts(answer)].map((part) => [part.id, text(part)]));

function* parts(root) {
  yield* root.querySelectorAll("[data-part]");
}

/** A part as the server gives it, without what only carries choices on: that changes with every choice. */
function text(part) {
  const copy = part.cloneNode(true);
  for (const one of copy.querySelectorAll("noscript")) one.remove();
  for (const link of copy.querySelectorAll("a[data-choice]")) link.removeAttribute("href");
  return copy.innerHTML;
}

/** Show what an address chooses. */
async function show(query, push) {
  answer.setAttribute("aria-busy", "true");
  try {
    const html = await piece(`${answer.dataset.address}/answer${query}`);
    if (push) history.pushState(null, "", answer.dataset.address + query);
    now.dataset.live = `${answer.dataset.address}/now${query}`;
    exchange(new DOMParser().parseFromString(html, "text/html"));
    exports(query);
    follow();
  } catch (error) {
    say(error.message, true);
  } finally {
    answer.removeAttribute("aria-busy");
  }
}

/** Look again as long as a choice's comparison is being made, also where the page itself had come to rest. */
let following = false;
async function follow() {
  if (following) return;
  following = true;
  while (document.querySelector("#part-verdict[data-computing]")) {
    if (!document.hidden) await refresh(now).catch(() => {});
    await new Promise((done) => setTimeout(done, 1000 * SECONDS_BETWEEN_LOOKS));
  }
  following = false;
}

function exchange(fresh) {
  const focused = document.activeElement?.id;
  const open = [...answer.querySelectorAll("details[open][id]")].map((one) => one.id);
  let before = null;
  for (const part of parts(fresh)) {
    before = place(part, before);
  }
  const kept = new Set([...parts(fresh)].map((part) => part.id));
  for (const part of [...parts(answer)]) if (!kept.has(part.id)) part.remove();
  for (const id of open) document.getElementById(id)?.setAttribute("open", "");
  if (focused && document.activeElement?.id !== focused) document.getElementById(focused)?.focus();
}

/** Put a part where it belongs, unless it is there as it is; gives its element. */
function place(part, before) {
  const old = document.getElementById(part.id);
  const html = text(part);
  if (old && served.get(part.id) === html) {
    carry(part, old);
    return old;
  }
  served.set(part.id, html);
  const made = document.importNode(part, true);
  if (old) old.replaceWith(made);
  else if (before) before.after(made);
  else answer.prepend(made);
  made.dispatchEvent(new CustomEvent("renewed", { bubbles: true }));
  return made;
}

/** A part that stays as it is still leads to the newest address. */
function carry(part, old) {
  if ("version" in part.dataset) old.dataset.version = part.dataset.version;
  old.toggleAttribute("data-computing", part.hasAttribute("data-computing"));
  const links = old.querySelectorAll("a[data-choice]");
  part.querySelectorAll("a[data-choice]").forEach((link, at) => links[at]?.setAttribute("href", link.getAttribute("href")));
}

function exports(query) {
  const asked = new URLSearchParams(query);
  for (const link of document.querySelectorAll("[data-form]")) {
    const wanted = new URLSearchParams({ form: link.dataset.form });
    for (const name of ["baseline", "split", "protocol"]) if (asked.get(name)) wanted.set(name, asked.get(name));
    link.href = `${new URL(link.href).pathname}?${wanted}`;
  }
}

/** The present choices with a form's in their place. */
function chosen(form, submitter) {
  const query = new URLSearchParams(location.search);
  const names = new Set([...form.elements].map((one) => one.name).filter(Boolean));
  if (submitter?.name) names.add(submitter.name);
  if (form.id === "questions-form") names.add("start");
  const sent = new FormData(form, submitter);
  if (form.id === "questions-form" && !submitter && query.get("side")) sent.set("side", query.get("side"));
  for (const name of names) query.delete(name);
  for (const [name, value] of sent) if (value) query.append(name, value);
  const found = query.toString();
  return found ? `?${found}` : "?";
}

answer.addEventListener("change", (event) => {
  const form = event.target.closest("form[data-choices]");
  if (form) show(chosen(form, null), true);
});

answer.addEventListener("submit", (event) => {
  if (!event.target.matches("form[data-choices]")) return;
  event.preventDefault();
  show(chosen(event.target, event.submitter), true);
});

answer.addEventListener("click", (event) => {
  const link = event.target.closest("a[data-choice]");
  if (!link || event.ctrlKey || event.metaKey || event.shiftKey) return;
  event.preventDefault();
  show(new URL(link.href).search || "?", true);
});

addEventListener("popstate", () => show(location.search || "?", false));

// Figures that are wanted only when somebody opens them.
answer.addEventListener("toggle", async (event) => {
  const details = event.target;
  if (!details.open || !details.dataset.piece) return;
  const box = document.createElement("div");
  box.className = "scroll";
  box.tabIndex = 0;
  box.setAttribute("role", "region");
  box.setAttribute("aria-label", "Figures");
  try {
    box.innerHTML = await piece(details.dataset.piece);
    for (const old of [...details.children].slice(1)) old.remove();
    details.append(box);
  } catch (error) {
    say(error.message, true);
  }
}, true);

// A picture that cannot be had leaves its words alone.
answer.addEventListener("error", (event) => {
  if (event.target.matches("img")) event.target.hidden = true;
}, true);

// Once the runs or their study have come further, the answer has too.
now.addEventListener("renewed", () => {
  const is = now.querySelector("[data-version]")?.dataset.version;
  const was = document.getElementById("part-verdict")?.dataset.version;
  if (is && is !== was) show(location.search || "?", false);
});

document.querySelector("[data-copy-address]")?.addEventListener("click", async () => {
  try {
    await navigator.clipboard.writeText(location.href);
    say("The address of exactly this view is copied");
  } catch {
    say(location.href);
  }
});
