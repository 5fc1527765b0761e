// Charts: the server gives plotly's data and layout, this draws them in the page's colours, in both themes.
import { ask, say } from "./api.js";

const KEEP_AFTER = 1500; // milliseconds
const HOVERS = window.matchMedia("(hover: hover)").matches; // elsewhere plotly shows its buttons at all times, over the legend
const CONFIG = {
  displaylogo: false, responsive: true, modeBarButtonsToRemove: ["lasso2d", "select2d"], displayModeBar: HOVERS ? "hover" : false,
};

function colour(name) {
  return getComputedStyle(document.documentElement).getPropertyValue(name).trim();
}

/** Colours stand in figures as names of the style's variables, such as "--series-1" or "--series-1/25" (per cent). */
function coloured(value) {
  if (Array.isArray(value)) return value.map(coloured);
  if (value && typeof value === "object") {
    return Object.fromEntries(Object.entries(value).map(([key, one]) => [key, coloured(one)]));
  }
  if (typeof value !== "string" || !value.startsWith("--")) return value;
  const [name, share] = value.split("/");
  return share ? faint(colour(name), Number(share) / 100) : colour(name);
}

function faint(hex, share) {
  const part = (at) => parseInt(hex.slice(at, at + 2), 16);
  return `rgba(${part(1)}, ${part(3)}, ${part(5)}, ${share})`;
}

/** Powers of ten where no letter such as k or M reaches: plotly sets them in styles that the pages' policy refuses. */
function exponents(data) {
  const sizes = data.flatMap((one) => one.y ?? []).map((value) => Math.abs(Number(value))).filter(Number.isFinite);
  const greatest = sizes.reduce((most, one) => Math.max(most, one), 0);
  return greatest > 1e14 || (greatest > 0 && greatest < 1e-14) ? { exponentformat: "e" } : {};
}

function themed(layout, data) {
  const axis = { gridcolor: colour("--line"), zerolinecolor: colour("--line"), linecolor: colour("--line"), automargin: true };
  const made = {
    paper_bgcolor: "rgba(0,0,0,0)",
    plot_bgcolor: "rgba(0,0,0,0)",
    font: { color: colour("--ink"), family: getComputedStyle(document.body).fontFamily, size: 13 },
    margin: { t: 36, r: 12, b: 40, l: 50 },
    legend: { orientation: "h", y: 1.02, yanchor: "bottom" },
    hoverlabel: { bgcolor: colour("--raised"), bordercolor: colour("--line"), font: { color: colour("--ink") } },
    ...coloured(layout),
  };
  for (const name of ["xaxis", "yaxis", ...Object.keys(layout).filter((key) => /^[xy]axis\d+$/.test(key))]) {
    made[name] = { ...axis, ...(name.startsWith("y") ? exponents(data) : {}), ...made[name] };
  }
  return made;
}

/** Draw a figure {data, layout} into a place. */
function draw(place, figure) {
  place.figure = figure;
  return window.Plotly.react(place, coloured(figure.data), themed(figure.layout || {}, figure.data), CONFIG);
}

async function load(place) {
  try {
    await draw(place, await ask(place.dataset.figure));
    place.removeAttribute("aria-busy");
  } catch (error) {
    place.textContent = error.message;
    say(error.message, true);
  }
}

/** Draw every figure of a part of the page that is in sight or comes into it. */
function drawAll(root = document) {
  const seen = new IntersectionObserver((entries) => {
    for (const entry of entries.filter((one) => one.isIntersecting)) {
      seen.unobserve(entry.target);
      load(entry.target);
    }
  }, { rootMargin: "300px" });
  const places = root.querySelectorAll(".plot[data-figure]");
  for (const place of places) seen.observe(place);
  setTimeout(() => keep(places), KEEP_AFTER);
  for (const place of root.querySelectorAll(".plot[data-figure][data-every]")) again(place);
}

function again(place) {
  setTimeout(async () => {
    if (!place.isConnected || place.dataset.final) return;
    if (!document.hidden && place.figure) await load(place);
    again(place);
  }, 1000 * Number(place.dataset.every));
}

/** Fetch what is out of sight, one after the other, once what is in sight has had its time: paper shows all of it. */
async function keep(places) {
  for (const place of places) {
    if (!place.isConnected || place.figure) continue;
    try {
      place.kept = await ask(place.dataset.figure);
    } catch { /* said when it comes into sight */ }
  }
}

window.addEventListener("beforeprint", () => {
  for (const place of document.querySelectorAll(".plot[data-figure]")) {
    if (place.kept && !place.figure) draw(place, place.kept).then(() => place.removeAttribute("aria-busy"));
  }
});

document.addEventListener("theme", () => {
  for (const place of document.querySelectorAll(".plot")) if (place.figure) draw(place, place.figure);
});
document.addEventListener("renewed", (event) => drawAll(event.target)); // the charts of a part that came anew
drawAll();
