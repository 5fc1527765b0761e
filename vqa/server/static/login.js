// Signs in with a token that is typed, or with the code behind #, which the browser sends to nobody else.
import { post } from "./api.js";

const form = document.getElementById("login");
const fault = document.getElementById("login-fault");

function goOn() {
  const wanted = new URLSearchParams(location.search).get("next") || "/";
  const address = new URL(wanted, location.origin);
  const own = address.origin === location.origin && address.pathname !== "/login";
  location.replace(own ? address.pathname + address.search + address.hash : "/");
}

async function signIn(body) {
  fault.textContent = "";
  const response = await fetch("/api/v1/login", {
    method: "POST",
    headers: { "Content-Type": "application/json" },
    body: JSON.stringify(body),
  });
  if (response.ok) return goOn();
  const problem = await response.json().catch(() => ({ detail: response.statusText }));
  fault.textContent = [problem.detail, problem.fix].filter(Boolean).join(": ");
}

form.addEventListener("submit", (event) => {
  event.preventDefault();
  const token = form.elements.token.value.trim();
  if (token) signIn({ token });
  else fault.textContent = "a token is needed";
});

const code = location.hash.slice(1);
if (code) {
  history.replaceState(null, "", location.pathname + location.search);
  signIn({ code });
} else {
  const known = await fetch("/api/v1/me");
  if (known.ok) goOn();
}
