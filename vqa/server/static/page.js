// What every page can do: buttons that post, pieces that keep themselves fresh, times in the reader's zone, two themes.
import { piece, post, say } from "./api.js";

document.addEventListener("click", async (event) => {
  const theme = event.target.closest("[data-theme-switch]");
  if (theme) return switchTheme();
  const button = event.target.closest("[data-post]");
  if (!button) return;
  if (button.dataset.sure && !confirm(button.dataset.sure)) return;
  button.disabled = true;
  try {
    await post(button.dataset.post);
    if (button.dataset.said) say(button.dataset.said);
    if (button.dataset.then) location.assign(button.dataset.then);
    else await Promise.all([...document.querySelectorAll("[data-live]")].map(refresh));
  } catch (error) {
    say(error.message, true);
  } finally {
    button.disabled = false;
  }
});

function switchTheme() {
  const root = document.documentElement;
  const dark = root.dataset.theme
    ? root.dataset.theme === "dark"
    : matchMedia("(prefers-color-scheme: dark)").matches;
  root.dataset.theme = dark ? "light" : "dark";
  localStorage.setItem("vqa-theme", root.dataset.theme);
  document.dispatchEvent(new CustomEvent("theme"));
}

/** Put a piece anew where it changed; what has the focus keeps it. */
export async function refresh(place) {
  const text = await piece(place.dataset.live);
  if (place.dataset.was === text) return;
  place.dataset.was = text;
  const focused = place.contains(document.activeElement) ? document.activeElement.id : "";
  const open = [...place.querySelectorAll("details[open][id]")].map((one) => one.id);
  place.innerHTML = text;
  for (const id of open) document.getElementById(id)?.setAttribute("open", "");
  if (focused) document.getElementById(focused)?.focus();
  localTimes(place);
  place.dispatchEvent(new CustomEvent("renewed", { bubbles: true }));
}

/** Keep a piece fresh as long as somebody looks at the page, and as long as the server says it may change. */
function keepFresh(place) {
  const every = 1000 * Number(place.dataset.every || 2);
  setTimeout(async function again() {
    try {
      if (!document.hidden) await refresh(place);
    } catch {
      // The server is away or restarts: the page stays as it was, and asks again.
    }
    if (place.isConnected && !place.querySelector("[data-final]")) setTimeout(again, every);
  }, every);
}

function localTimes(root) {
  for (const time of root.querySelectorAll("time[datetime]")) {
    const moment = new Date(time.dateTime);
    time.title = time.dateTime;
    time.textContent = moment.toLocaleString(undefined, { dateStyle: "medium", timeStyle: "short" });
  }
}

localTimes(document);
for (const place of document.querySelectorAll("[data-live][data-every]")) keepFresh(place);
