// Talking to the server, and saying what came of it.

/** Fetch JSON; an error carries what the server said was wrong, where, and what to do. */
export async function ask(address, options = {}) {
  const response = await fetch(address, { credentials: "same-origin", ...options });
  if (response.status === 401) {
    location.assign("/login?" + new URLSearchParams({ next: location.pathname + location.search }));
    throw new Error("signed out");
  }
  if (!response.ok) throw new Error(await reason(response));
  return response.status === 204 ? null : response.json();
}

/** Post a JSON body. */
export function post(address, body = null) {
  const options = { method: "POST" };
  if (body !== null) {
    options.headers = { "Content-Type": "application/json" };
    options.body = JSON.stringify(body);
  }
  return ask(address, options);
}

/** Fetch a piece of a page. */
export async function piece(address) {
  const response = await fetch(address, { credentials: "same-origin", headers: { Accept: "text/html" } });
  if (response.redirected) location.reload();
  if (!response.ok) throw new Error(response.statusText);
  return response.text();
}

/** What a refusal says: where, what, and what to do. */
export async function reason(response) {
  try {
    const problem = await response.json();
    return [problem.where, problem.detail, problem.fix].filter(Boolean).join(": ");
  } catch {
    return `${response.status} ${response.statusText}`;
  }
}

/** Say something below the page; a fault stays until it is read. */
export function say(text, isFault = false) {
  const place = document.getElementById("said");
  const line = document.createElement("p");
  line.textContent = text;
  line.className = isFault ? "fault" : "";
  const close = document.createElement("button");
  close.type = "button";
  close.className = "quiet";
  close.textContent = "×";
  close.setAttribute("aria-label", "Close");
  close.addEventListener("click", () => line.remove());
  line.append(close);
  place.append(line);
  if (!isFault) setTimeout(() => line.remove(), 6000);
}
