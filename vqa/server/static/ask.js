// A picture by drop, paste, file or name; a question; the answers of one model or two beside each other.
import { post, say } from "./api.js";

const form = document.getElementById("ask");
const at = (id) => document.getElementById(id);
const MOST_BYTES = 16_000_000;
let picture = form ? JSON.parse(form.dataset.given) : null;

/** Take a file's bytes as the picture, as they are: the model sees what a run would have seen. */
async function take(file) {
  at("ask-fault").textContent = "";
  if (!file.type.startsWith("image/")) return fault("that is no picture");
  if (file.size > MOST_BYTES) return fault("the picture has more than 16 MB");
  const address = await read(file);
  picture = { image: address.slice(address.indexOf(",") + 1) };
  at("preview").src = URL.createObjectURL(file);
  at("preview").alt = `The picture: ${file.name}`;
  at("preview").hidden = false;
  at("right")?.remove();
}

function read(file) {
  return new Promise((resolve, reject) => {
    const reader = new FileReader();
    reader.addEventListener("load", () => resolve(reader.result));
    reader.addEventListener("error", () => reject(reader.error));
    reader.readAsDataURL(file);
  });
}

function fault(text) {
  at("ask-fault").textContent = text;
}

function body(job) {
  const choices = at("choices").value.split("\n").map((one) => one.trim()).filter(Boolean);
  return { job, question: at("question").value.trim(), choices, ...picture };
}

async function answers() {
  const jobs = [at("a").value, at("b").value].filter(Boolean);
  const distinct = [...new Set(jobs)];
  const found = await Promise.all(distinct.map((job) => post("/api/v1/ask", body(job))));
  at("answers").replaceChildren(...found.map(card));
}

function card(found) {
  const made = at("answer").content.cloneNode(true);
  const part = (name) => made.querySelector(`[data-${name}]`);
  part("name").textContent = found.name;
  part("answer").textContent = found.answer ?? "it can say none of the choices";
  part("top").append(...found.top.map((one) => likely(one, one.answer === found.answer)));
  part("words").append("Read as: ", ...found.words.flatMap((word, place) => [wordOf(word, found.unknown.includes(place)), " "]));
  part("run").href = `/jobs/${encodeURIComponent(found.job)}`;
  part("glimpses").append(...found.glimpses.map((address, k) => glimpse(address, k, found.glimpses.length)));
  if (!found.glimpses.length) part("glimpses").textContent = "This model has no attention.";
  return made;
}

function likely(one, chosen) {
  const row = document.createElement("li");
  row.className = chosen ? "chosen" : "";
  const percent = `${(100 * one.probability).toFixed(1)} %`;
  const text = element("span", one.answer);
  const meter = element("meter", percent);
  meter.max = 1;
  meter.value = one.probability;
  meter.setAttribute("aria-label", `probability of ${one.answer}`);
  const figure = element("span", percent);
  figure.className = "number";
  row.append(text, meter, figure);
  return row;
}

function wordOf(word, unknown) {
  if (!unknown) return word;
  const mark = element("mark", "?");
  mark.title = "a word that the model never learnt";
  mark.append(Object.assign(element("span", " a word that the model never learnt"), { className: "visually-hidden" }));
  return mark;
}

function glimpse(address, k, count) {
  const figure = document.createElement("figure");
  const image = document.createElement("img");
  image.src = address;
  image.alt = `Where glimpse ${k + 1} looks`;
  figure.append(image, element("figcaption", count > 1 ? `Glimpse ${k + 1}` : "Attention"));
  return figure;
}

function element(name, text) {
  return Object.assign(document.createElement(name), { textContent: text });
}

/** Keep the chosen models in the address, so that it can be shared. */
function share() {
  const query = new URLSearchParams(location.search);
  for (const name of ["a", "b"]) at(name).value ? query.set(name, at(name).value) : query.delete(name);
  history.replaceState(null, "", `${location.pathname}?${query}`);
  for (const link of document.querySelectorAll("[data-any]")) {
    const fields = new URLSearchParams({ store: link.dataset.any, a: at("a").value });
    if (at("b").value) fields.set("b", at("b").value);
    link.href = `/ask/any?${fields}`;
  }
}

if (form) {
  form.addEventListener("submit", async (event) => {
    event.preventDefault();
    fault("");
    if (!picture) return fault("choose a picture");
    if (!at("question").value.trim()) return fault("type a question");
    event.submitter.disabled = true;
    try {
      await answers();
    } catch (error) {
      fault(error.message);
    } finally {
      event.submitter.disabled = false;
    }
  });
  for (const name of ["a", "b"]) at(name).addEventListener("change", share);
  at("file").addEventListener("change", (event) => event.target.files[0] && take(event.target.files[0]).catch((error) => say(error.message, true)));
  at("drop").addEventListener("dragover", (event) => {
    event.preventDefault();
    at("drop").classList.add("over");
  });
  at("drop").addEventListener("dragleave", () => at("drop").classList.remove("over"));
  at("drop").addEventListener("drop", (event) => {
    event.preventDefault();
    at("drop").classList.remove("over");
    if (event.dataTransfer.files[0]) take(event.dataTransfer.files[0]);
  });
  document.addEventListener("paste", (event) => {
    const file = [...event.clipboardData.files].find((one) => one.type.startsWith("image/"));
    if (file) take(file);
  });
  share();
}
