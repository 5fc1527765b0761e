// The Ask page: a picture that is dropped, chosen or pasted, or one of a store; choices; what each model says of it.
import { post } from "./api.js";
import { reply, waiting, failed } from "./reply.js";

const MOST_BYTES = 17_000_000; // as base64 within the server's limit
const form = document.getElementById("ask");
const fault = document.getElementById("question-fault");
const preview = document.getElementById("preview");
const named = document.getElementById("file-name");
const list = document.querySelector("#choices ol");
const runs = ["a", "b"].map((id) => document.getElementById(id));
let file = null;

// The picture.
function take(chosen) {
  if (!chosen) return;
  forget();
  if (chosen.size > MOST_BYTES) return complain(`${chosen.name}: ${Math.round(chosen.size / 1e6)} MB, and ${MOST_BYTES / 1e6} MB is the most`);
  file = chosen;
  preview.src = URL.createObjectURL(chosen);
  preview.alt = `Preview of ${chosen.name}`;
  preview.hidden = false;
  named.textContent = chosen.name;
}

/** Nothing is asked about the picture before, whatever becomes of the next one. */
function forget() {
  complain("");
  file = null;
  if (preview.src.startsWith("blob:")) URL.revokeObjectURL(preview.src);
  preview.removeAttribute("src");
  preview.hidden = true;
  named.textContent = "";
  document.getElementById("truth")?.remove();
  Object.assign(form.dataset, { store: "", image: "", truth: "{}" });
  address();
}

const drop = document.getElementById("drop");
for (const name of ["dragenter", "dragover"]) drop.addEventListener(name, () => drop.classList.add("over"));
for (const name of ["dragleave", "drop"]) drop.addEventListener(name, () => drop.classList.remove("over"));
for (const name of ["dragover", "drop"]) window.addEventListener(name, (event) => event.preventDefault());
drop.addEventListener("drop", (event) => take(event.dataTransfer.files[0]));
document.getElementById("file").addEventListener("change", (event) => take(event.target.files[0]));
document.addEventListener("paste", (event) => {
  const pasted = [...event.clipboardData.files].find((one) => one.type.startsWith("image/"));
  if (pasted) take(pasted);
});
preview.addEventListener("error", () => {
  preview.hidden = true;
  named.textContent += file ? " (this browser cannot show it; the server may read it)" : " cannot be shown: its file is gone or damaged";
});

function base64(chosen) {
  return new Promise((resolve, reject) => {
    const reader = new FileReader();
    reader.addEventListener("load", () => resolve(reader.result.slice(reader.result.indexOf(",") + 1)));
    reader.addEventListener("error", () => reject(new Error(`${chosen.name} cannot be read`)));
    reader.readAsDataURL(chosen);
  });
}

// The choices: a line each; several lines that are pasted become several choices.
function addChoice(text = "") {
  const row = document.createElement("li");
  const input = Object.assign(document.createElement("input"), { type: "text", maxLength: 1000, dir: "auto", value: text });
  const remove = Object.assign(document.createElement("button"), { type: "button", className: "quiet", textContent: "×" });
  remove.dataset.remove = "";
  row.append(input, " ", remove);
  list.append(row);
  number();
  return input;
}

function number() {
  [...list.children].forEach((row, at) => {
    row.querySelector("input").setAttribute("aria-label", `Choice ${at + 1}`);
    row.querySelector("button").setAttribute("aria-label", `Remove choice ${at + 1}`);
  });
}

document.getElementById("add-choice").addEventListener("click", () => addChoice().focus());
list.addEventListener("click", (event) => {
  const row = event.target.closest("[data-remove]")?.closest("li");
  if (!row) return;
  const next = row.nextElementSibling || row.previousElementSibling;
  row.remove();
  number();
  (next?.querySelector("input") || document.getElementById("add-choice")).focus();
});
list.addEventListener("keydown", (event) => {
  if (event.key !== "Enter" || event.target.tagName !== "INPUT") return;
  event.preventDefault();
  addChoice().focus();
});
list.addEventListener("paste", (event) => {
  const lines = event.clipboardData.getData("text").split(/\r?\n/).map((line) => line.trim()).filter(Boolean);
  if (lines.length < 2) return;
  event.preventDefault();
  event.target.value = lines[0];
  for (const line of lines.slice(1)) addChoice(line).focus();
});

function choices() {
  return [...list.querySelectorAll("input")].map((input) => input.value.trim()).filter(Boolean);
}

// The address names the models and the example, so that it can be handed on.
function address() {
  const now = new URLSearchParams(location.search);
  for (const run of runs) now.set(run.name, run.value);
  if (!form.dataset.store) for (const name of ["store", "question_id"]) now.delete(name);
  for (const [name, value] of [...now]) if (!value) now.delete(name);
  history.replaceState(null, "", now.size ? `?${now}` : location.pathname);
  for (const run of runs) document.querySelector(`input[name="${run.name}"]`)?.setAttribute("value", run.value);
}
for (const run of runs) run.addEventListener("change", address);

// Asking.
function complain(text) {
  fault.textContent = text;
}

function missing(question, options) {
  if (!file && !form.dataset.image) return "A picture is needed: drop one, choose a file, or take an example.";
  if (!question) return "A question is needed.";
  if (options.length === 1) return "One choice is no choice: give two or more, or none.";
  return new Set(options).size < options.length ? "A choice stands twice." : "";
}

/** What is right, as long as the question is still the store's. */
function truth(question, options) {
  const known = JSON.parse(form.dataset.truth);
  const same = known.question?.trim() === question && known.choices.map((one) => one.trim()).join("\n") === options.join("\n");
  return same ? known : null;
}

form.addEventListener("submit", async (event) => {
  event.preventDefault();
  const question = form.querySelector("#question").value.trim();
  const options = choices();
  complain(missing(question, options));
  if (fault.textContent) return;
  const button = form.querySelector("[type=submit]");
  button.disabled = true;
  try {
    const picture = file ? { image: await base64(file) } : { store: form.dataset.store, image_id: form.dataset.image };
    await askAll({ question, choices: options, ...picture }, truth(question, options));
  } catch (error) {
    complain(error.message);
  } finally {
    button.disabled = false;
  }
});

async function askAll(body, known) {
  const jobs = [...new Set(runs.map((run) => run.value).filter(Boolean))];
  const places = jobs.map((job) => waiting(runs.flatMap((run) => [...run.options]).find((one) => one.value === job).textContent));
  document.getElementById("verdict").textContent = "";
  document.getElementById("replies").replaceChildren(...places);
  document.getElementById("answers").hidden = false;
  const said = await Promise.all(jobs.map(async (job, at) => {
    try {
      const answer = await post("/api/v1/ask", { job, ...body });
      reply(places[at], answer, known);
      return answer;
    } catch (error) {
      failed(places[at], error.message);
      return null;
    }
  }));
  document.getElementById("verdict").textContent = verdict(said);
  document.getElementById("answers-title").focus({ preventScroll: true });
  document.getElementById("answers").scrollIntoView({ block: "nearest" });
}

function verdict(said) {
  if (said.some((one) => !one)) return said.some(Boolean) ? "One model has answered." : "No answer.";
  if (said.length === 1) return said[0].answer === null ? "It can say none of the choices." : `It says “${said[0].answer}”.`;
  if (said[0].answer === said[1].answer) return said[0].answer === null ? "Neither can say any of the choices." : `Both say “${said[0].answer}”.`;
  return `They differ: ${said.map((one) => `${one.name} says ${one.answer === null ? "nothing" : `“${one.answer}”`}`).join(", ")}.`;
}
