// What a model said, as a card: every text of it is put there as text.

function made(name, className = "", text = null) {
  const element = document.createElement(name);
  if (className) element.className = className;
  if (text !== null) element.textContent = text;
  return element;
}

function percent(share) {
  return `${(100 * share).toFixed(1)} %`;
}

/** A card for a model that is being asked. */
export function waiting(name) {
  const card = made("article", "card reply");
  card.setAttribute("aria-busy", "true");
  card.append(made("h3", "", name), made("p", "soft", "is thinking …"));
  return card;
}

/** The same, where it could not be asked. */
export function failed(card, text) {
  card.removeAttribute("aria-busy");
  card.replaceChildren(card.querySelector("h3"), made("p", "fault", text));
}

/** The same with the answer; `known` is what the store says of the question, or null. */
export function reply(card, answer, known) {
  card.removeAttribute("aria-busy");
  const title = made("h3");
  const link = made("a", "", answer.name);
  link.href = `/jobs/${encodeURIComponent(answer.job)}`;
  title.append(link);
  card.replaceChildren(title, ...said(answer), ...judged(answer, known), ...ranked(answer), ...read(answer), ...looked(answer));
}

function said(answer) {
  if (answer.answer === null) {
    return [made("p", "lead", "It can say none of the choices."), made("p", "soft", `It learnt answers such as ${answer.known.join(", ")}.`)];
  }
  const line = made("p", "said");
  line.append(made("bdi", "", answer.answer));
  if (answer.confidence !== null) line.append(" ", made("small", "soft", percent(answer.confidence)));
  return [line];
}

function judged(answer, known) {
  if (!known || known.right === null || answer.answer === null) return [];
  if (known.choices.length) {
    const right = answer.answer === known.right;
    return [made("p", right ? "good" : "bad", right ? "✓ right" : "✗ wrong")];
  }
  const times = known.answers.filter((one) => one.trim() === answer.answer).length;
  if (!times) return [made("p", "bad", known.answers.length > 1 ? "✗ nobody answered so" : "✗ wrong")];
  return [made("p", "good", known.answers.length > 1 ? `✓ as ${times} of ${known.answers.length} people answered` : "✓ right")];
}

function ranked(answer) {
  const list = made("ol", "options");
  for (const { answer: text, probability } of answer.top) {
    const row = made("li");
    const meter = Object.assign(document.createElement("meter"), { min: 0, max: 1, value: probability });
    meter.setAttribute("aria-label", `Probability of ${text}`);
    row.append(made("bdi", "", text), meter, made("span", "number", percent(probability)));
    list.append(row);
  }
  list.setAttribute("aria-label", "Likeliest answers");
  const parts = answer.top.length ? [list] : [];
  if (answer.unsayable.length) parts.push(made("p", "soft", `It cannot say: ${answer.unsayable.join(", ")}`));
  return parts;
}

function read(answer) {
  const list = made("ul", "read");
  list.setAttribute("aria-label", "The question's words");
  for (const { text, known } of answer.words) {
    const word = made("li", known ? "" : "unknown");
    word.append(made("bdi", "", text));
    if (!known) word.append(" ", made("small", "", "unknown"));
    list.append(word);
  }
  const unknown = answer.words.filter((word) => !word.known).length;
  const note = unknown ? `The model does not know ${unknown} of ${answer.words.length} words:` : "The model knows every word:";
  return [made("h4", "", "The question as it was read"), made("p", "soft", note), list];
}

function looked(answer) {
  const tiles = made("div", "glimpses");
  if (answer.seen) tiles.append(tile(answer.seen, "The picture as the model saw it", "as the model saw it"));
  answer.attention.forEach(({ weights, overlay }, at) => {
    if (!overlay) return;
    const name = answer.attention.length > 1 ? `Glimpse ${at + 1}` : "Attention";
    tiles.append(tile(overlay, `${name} over the picture`, `${name}: ${strongest(weights)}`));
  });
  const title = made("h4", "", answer.attention.length ? "Where it looked" : "What it saw");
  return answer.attention.length ? [title, tiles] : [title, made("p", "soft", "This model has no attention: it sees the picture as a whole."), tiles];
}

/** The place with the greatest weight, in words. */
function strongest(weights) {
  const flat = weights.flat();
  const most = Math.max(...flat);
  const at = flat.indexOf(most);
  const columns = weights[0].length;
  return `most in row ${Math.floor(at / columns) + 1}, column ${(at % columns) + 1} of ${weights.length}×${columns} (${percent(most)})`;
}

function tile(source, alt, caption) {
  const figure = made("figure");
  const image = Object.assign(made("img"), { src: source, alt });
  figure.append(image, made("figcaption", "", caption));
  return figure;
}
