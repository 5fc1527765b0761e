// A run's page: charts and tables as they come, the browser of predictions in place, the log as it grows, words by unit.
import { ask, piece, say } from "./api.js";
import { refresh } from "./page.js";

const MOST_TEXT = 1 << 20; // characters of a log that the page keeps
const ESCAPES = /\x1b\[[0-9;?]*[A-Za-z]/g;

// Pieces that are fetched once somebody comes near them.
const seen = new IntersectionObserver((entries) => {
  for (const entry of entries.filter((one) => one.isIntersecting)) {
    seen.unobserve(entry.target);
    fetchPiece(entry.target);
  }
}, { rootMargin: "600px" });
for (const place of document.querySelectorAll("[data-later]")) seen.observe(place);

async function fetchPiece(place) {
  try {
    await refresh(place);
  } catch (error) {
    place.textContent = error.message;
    say(error.message, true);
  }
  place.removeAttribute("aria-busy");
}

document.addEventListener("renewed", (event) => {
  const place = event.target;
  if (place.id === "head" && place.querySelector("[data-final]")) finish();
  watchWords(place);
});

/** Of a long journal the page has only the names that a quick look found. */
const charts = document.getElementById("curves");
if (charts) wholeList();
async function wholeList() {
  const made = document.createElement("template");
  let text;
  try {
    text = await piece(charts.dataset.live);
  } catch {
    return; // what is there stays
  }
  made.innerHTML = text;
  const count = (root) => root.querySelectorAll(".plot").length;
  if (count(made.content) !== count(charts)) await fetchPiece(charts);
  else charts.dataset.was = text; // so that nothing is drawn anew before a chart comes
}

/** A run has ended: what was written last is fetched, and nothing is asked for again. */
let finished = Boolean(document.querySelector("#head [data-final]"));
async function finish() {
  if (finished) return;
  finished = true;
  await fetchPiece(charts);
  await fetchPiece(document.getElementById("browser"));
}

// Tables of charts, when they are opened.
document.addEventListener("toggle", async (event) => {
  const details = event.target;
  if (!(details instanceof HTMLElement) || !details.dataset.table || !details.open) return;
  const summary = details.querySelector("summary");
  const table = document.createElement("div");
  table.innerHTML = await piece(details.dataset.table);
  details.replaceChildren(summary, table);
}, true);

// The browser of predictions stays on the run's page.
const browser = document.getElementById("browser");
function browse(query) {
  browser.dataset.live = browser.dataset.live.split("?")[0] + (query ? `?${query}` : "");
  fetchPiece(browser);
}
browser?.addEventListener("submit", (event) => {
  event.preventDefault();
  browse(new URLSearchParams(new FormData(event.target)).toString());
});
browser?.addEventListener("click", (event) => {
  const link = event.target.closest("a[data-browse]");
  if (!link || event.ctrlKey || event.metaKey || event.shiftKey) return;
  event.preventDefault();
  browse(new URL(link.href).search.slice(1));
  document.getElementById("predictions").scrollIntoView();
});

// The log.
const controls = document.querySelector("[data-log]");
if (controls) {
  const name = document.getElementById("log-name");
  const follow = document.getElementById("log-follow");
  const whole = document.getElementById("log-whole");
  const text = document.getElementById("log-text");
  let source = null;
  let last = controls.dataset.offset;

  const show = (chunk) => {
    if (chunk.rewound) text.textContent = "";
    text.textContent = plain(text.textContent + chunk.text).slice(-MOST_TEXT);
    if (follow.checked) text.scrollTop = text.scrollHeight;
  };
  const open = (offset) => {
    source?.close();
    source = new EventSource(`${controls.dataset.log}${encodeURIComponent(name.value)}/stream?offset=${offset}`);
    source.addEventListener("chunk", (event) => {
      last = event.lastEventId;
      show(JSON.parse(event.data));
    });
    source.addEventListener("end", () => {
      source.close();
      source = null;
    });
  };
  // A browser has few connections to a server, and pages in the background would hold them all.
  document.addEventListener("visibilitychange", () => {
    if (!source) return;
    if (document.hidden) source.close();
    else open(last);
  });
  text.textContent = plain(text.textContent);
  text.scrollTop = text.scrollHeight;
  open(last);
  name.addEventListener("change", () => {
    text.textContent = "";
    whole.hidden = !/\.log$/.test(name.value);
    whole.href = `${controls.dataset.log}${encodeURIComponent(name.value)}/file`;
    open(-32768);
  });
  follow.addEventListener("change", () => {
    if (follow.checked) text.scrollTop = text.scrollHeight;
  });
}

/** Without colours, and of a line that was written over and over (a progress bar) the last state. */
function plain(text) {
  return text.replace(ESCAPES, "").replace(/\r\n/g, "\n").replace(/[^\n]*\r(?=[^\n])/g, "");
}

// Words in the colour of a hidden unit.
async function watchWords(root) {
  const card = root.querySelector("[data-words]");
  if (!card) return;
  const at = (id) => document.getElementById(id);
  const [unit, rank, kind, layer] = ["unit", "unit-rank", "unit-kind", "unit-layer"].map(at);
  let read = null;
  const load = async () => {
    read = await ask(card.dataset.words + (layer ? `&layer=${layer.value}` : ""));
    paint();
  };
  const paint = () => {
    const chosen = Math.min(read.ranked.length - 1, Math.max(0, Math.round(Number(unit.value) || 0)));
    const values = (kind.value ? read.gates[kind.value] : read.states).map((row) => row[chosen]);
    const items = card.querySelectorAll(".words li");
    values.forEach((value, place) => {
      items[place].className = tone(value);
      items[place].querySelector("small").textContent = (value >= 0 ? "+" : "−") + Math.abs(value).toFixed(2);
    });
    rank.value = read.ranked.indexOf(chosen);
    const half = read.ranked.length / 2;
    const back = read.directions === 2 && chosen >= half ? ", reads from the end" : "";
    at("unit-said").textContent =
      `Unit ${chosen} of ${read.ranked.length}, number ${read.ranked.indexOf(chosen) + 1} by how much it varies over these words${back}.`;
  };
  try {
    await load();
  } catch (error) {
    say(error.message, true);
    return;
  }
  unit.addEventListener("input", paint);
  kind.addEventListener("change", paint);
  rank.addEventListener("input", () => {
    unit.value = read.ranked[Number(rank.value)];
    paint();
  });
  layer?.addEventListener("change", load);
}

/** Five shades each way, from −1 to 1. */
function tone(value) {
  const shade = Math.min(5, Math.ceil(Math.abs(value) * 5));
  return `tone ${value > 0 ? "up" : "down"}-${shade}`;
}
watchWords(document);
