// The submission's form: bricks show the fields of the kind that is chosen, compared keys become axes.
import { reason, say } from "./api.js";

const form = document.getElementById("submit");
const fault = document.getElementById("submit-fault");
const seen = document.getElementById("seen");
const all = (selector, root = form) => [...root.querySelectorAll(selector)];

/** Whether a field belongs to a kind of brick that was not chosen. */
const unused = (entry) => entry.closest("[data-member][hidden]") !== null;

function compared(entry) {
  return entry.querySelector("[data-compare]")?.checked === true;
}

function chosen(entry) {
  const list = entry.querySelector("[data-list]");
  if (!list) return all("[data-option]:checked", entry).map((one) => one.value);
  return split(list.value);
}

/** Values between commas; commas within brackets or quotes part nothing. */
function split(text) {
  const parts = [];
  let depth = 0, quote = "", part = "";
  for (const letter of text) {
    if (quote) quote = letter === quote ? "" : quote;
    else if (letter === '"' || letter === "'") quote = letter;
    else if ("[{".includes(letter)) depth += 1;
    else if ("]}".includes(letter)) depth -= 1;
    if (letter === "," && !depth && !quote) {
      parts.push(part);
      part = "";
    } else part += letter;
  }
  return [...parts, part].map((one) => one.trim()).filter(Boolean);
}

function draft() {
  const body = { values: {}, axes: {}, baselines: all("[data-baseline]:checked").map((one) => one.dataset.baseline) };
  for (const entry of all("[data-path]")) {
    if (unused(entry)) continue;
    const value = entry.querySelector("[data-value]").value.trim();
    if (compared(entry)) body.axes[entry.dataset.path] = chosen(entry);
    else if (value) body.values[entry.dataset.path] = value;
  }
  for (const meta of all("[data-meta]")) {
    const value = meta.value.trim();
    if (value) body[meta.dataset.meta] = "number" in meta.dataset ? Number(value) : value;
  }
  return body;
}

/** The fields whose text is no number: to the browser they are empty, and an empty one means its default. */
function malformed() {
  const used = all("[data-path]").filter((entry) => !unused(entry) && !compared(entry));
  const controls = [...used.map((entry) => entry.querySelector("[data-value]")), ...all("[data-meta]")];
  return controls.filter((control) => control.validity.badInput);
}

/** Name them beside the form, with the first of them in sight. */
function refuse(controls) {
  const names = controls.map((control) => control.closest("[data-path]")?.dataset.path ?? control.labels[0].textContent);
  fault.textContent = `${names.join(" and ")}: not a number`;
  for (let part = controls[0].closest("details"); part; part = part.parentElement.closest("details")) part.open = true;
  controls[0].focus();
}

function kindOf(brick) {
  const select = brick.querySelector("select[data-value]");
  return select.value || select.options[0].textContent.replace(" (default)", "");
}

function showKind(brick) {
  const kinds = compared(brick.querySelector("[data-path]")) ? [] : [kindOf(brick)];
  for (const member of all("[data-member]", brick)) {
    if (member.closest("[data-brick]") === brick) member.hidden = !kinds.includes(member.dataset.member);
  }
}

function showAxes() {
  const axes = all("[data-path]").filter((entry) => !unused(entry) && compared(entry));
  const told = axes.map((entry) => `${entry.dataset.path} (${chosen(entry).length})`);
  document.getElementById("axes").textContent = told.length
    ? `Compared: ${told.join(" × ")}`
    : "Nothing is compared yet: one job.";
}

form.addEventListener("change", (event) => {
  const entry = event.target.closest("[data-path]");
  if (event.target.matches("[data-compare]")) {
    const on = event.target.checked;
    entry.querySelector(".several").hidden = !on;
    entry.querySelector("[data-value]").hidden = on;
    const value = entry.querySelector("select[data-value]");
    if (on && value && !chosen(entry).length) check(entry, value.value || value.options[0].textContent.replace(" (default)", ""));
  }
  const brick = event.target.closest("[data-brick]");
  if (brick) showKind(brick);
  showAxes();
});

function check(entry, value) {
  for (const option of all("[data-option]", entry)) if (option.value === value) option.checked = true;
}

async function send(address, accept) {
  fault.textContent = "";
  const wrong = malformed();
  if (wrong.length) {
    refuse(wrong);
    return null;
  }
  const response = await fetch(address, {
    method: "POST",
    headers: { "Content-Type": "application/json", Accept: accept },
    body: JSON.stringify(draft()),
  });
  if (response.ok) return response;
  fault.textContent = await reason(response);
  return null;
}

async function working(button, work) {
  button.disabled = true;
  try {
    await work();
  } catch (error) {
    say(error.message, true);
  } finally {
    button.disabled = false;
  }
}

async function look() {
  const response = await send("/submit/look", "application/json");
  seen.innerHTML = response ? await response.text() : "";
}

document.getElementById("look").addEventListener("click", (event) => working(event.target, look));

form.addEventListener("submit", (event) => {
  event.preventDefault();
  working(event.submitter, async () => {
    const response = await send("/submit/queue", "application/json");
    if (!response) return;
    const { address, queued } = await response.json();
    if (queued) return location.assign(address);
    await look(); // says that all of it is there already, and where
    seen.scrollIntoView();
  });
});

/** Fill in what another job had set. */
function fill(values) {
  const paths = Object.keys(values).sort();
  for (const path of paths) {
    const entries = all("[data-path]").filter((entry) => entry.dataset.path === path && !unused(entry));
    for (const entry of entries) {
      const control = entry.querySelector("[data-value]");
      control.value = values[path].replace(/^"([\w.-]+)"$/, "$1");
      if (entry.closest("[data-brick]")) showKind(entry.closest("[data-brick]"));
      entry.closest("details.part")?.setAttribute("open", "");
    }
  }
}

fill(JSON.parse(form.dataset.filled));
showAxes();
