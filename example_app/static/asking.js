// One request to the app, and what it may take: the next token, or the password.

const content = (name) => document.querySelector(`meta[name="${name}"]`)?.content;

// The access token is over, or its cookie is.
const RENEW = new Set(["token_expired", "token_missing"]);

const STEP_UP = {
  fresh_token_required: "This needs a sign-in that is fresh. Your password is enough for that.",
  reauthentication_required: "This needs a sign-in in the last 5 minutes. Your password is enough for that.",
};

const WORDS = {
  csrf_failed: "This page is out of date. Load it anew, and try again.",
  insufficient_scope: "Your account may not do that.",
  not_found: "It is gone already. Load the page anew to see what is there.",
  store_unavailable: "That cannot be checked now, so nothing was changed. Try again in a moment.",
};

export function show(element, text) {
  element.textContent = text;
  element.hidden = false;
}

export function hide(element) {
  element.hidden = true;
  element.textContent = "";
}

export function leave() {
  const here = location.pathname + location.search;
  location.assign(`${content("sign-in")}?next=${encodeURIComponent(here)}`);
}

async function send(method, url, body) {
  const headers = { "Accept": "application/json", "X-CSRF-Token": content("csrf-token") };
  if (body !== null) headers["Content-Type"] = "application/json";
  try {
    return await fetch(url, {
      method, headers, body: body === null ? undefined : JSON.stringify(body),
    });
  } catch {
    throw new Error("The app does not answer. Look at your connection, and try again.");
  }
}

async function problemOf(answer) {
  if (answer.ok) return null;
  try {
    return await answer.json();
  } catch {
    return { error: "", message: "Something went wrong. Try again in a moment." };
  }
}

// Give the answer, null where the person cancels; what is wrong is thrown, in words.
export async function ask(method, url, body) {
  let answer = await send(method, url, body);
  let problem = await problemOf(answer);
  if (problem && RENEW.has(problem.error)) {
    const renewed = await send("POST", content("renew"), null);
    if (renewed.status === 401) return gone();
    answer = renewed.ok ? await send(method, url, body) : renewed;
    problem = await problemOf(answer);
  }
  if (problem && problem.error in STEP_UP) {
    if (!(await stepUp(STEP_UP[problem.error]))) return null;
    answer = await send(method, url, body);
    problem = await problemOf(answer);
  }
  if (problem && answer.status === 401) return gone();
  if (problem) throw new Error(WORDS[problem.error] ?? problem.message);
  return answer;
}

function gone() {
  leave();
  return null;
}

// Ask for the password; tell whether it was right, false where the person cancels.
function stepUp(why) {
  const dialog = document.querySelector("#step-up");
  const form = dialog.querySelector("form");
  const password = form.elements.password;
  const fault = dialog.querySelector("#step-up-fault");
  dialog.querySelector("#step-up-why").textContent = why;
  hide(fault);
  password.value = "";

  return new Promise((done) => {
    let passed = false;
    const end = new AbortController();
    const on = (target, name, run) => target.addEventListener(name, run, { signal: end.signal });

    on(dialog, "close", () => { end.abort(); password.value = ""; done(passed); });
    on(dialog.querySelector("[data-cancel]"), "click", () => dialog.close());
    on(form, "submit", async (event) => {
      event.preventDefault();
      try {
        const answer = await send("POST", form.action, { password: password.value });
        const problem = await problemOf(answer);
        if (problem === null) { passed = true; dialog.close(); return; }
        if (problem.error !== "login_failed" && answer.status === 401) { dialog.close(); leave(); return; }
        show(fault, WORDS[problem.error] ?? problem.message);
      } catch (problem) {
        show(fault, problem.message);
      }
      password.setAttribute("aria-invalid", "true");
      password.select();
    });
    password.removeAttribute("aria-invalid");
    dialog.showModal();
    password.focus();
  });
}
