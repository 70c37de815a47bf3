// What the pages do beyond forms: guarded actions that ask for the password when the
// app wants it, times that run down, and the play of the thief.

import { ask, hide, show } from "./asking.js";
import { watchTimes } from "./times.js";

const RENEWED = "Your token is refreshed.";

function fieldsOf(form) {
  const found = Object.fromEntries(new FormData(form));
  delete found.csrf_token; // it goes into the header
  delete found.sure;
  return found;
}

// A form with data-action is sent by script: the method is that of the attribute.
async function act(form) {
  const method = form.dataset.action || "POST";
  const asked = method === "POST" ? null : fieldsOf(form);
  const answer = await ask(method, form.action, asked);
  if (answer === null) return; // the person thought better of it
  if (form.dataset.then) location.assign(form.dataset.then);
  else if (answer.redirected) location.assign(answer.url);
  else if ("reload" in form.dataset) {
    sessionStorage.setItem("told", RENEWED);
    location.reload();
  }
}

async function play(form) {
  const answer = await ask("POST", form.action, null);
  if (answer === null) return;
  const { scenes, alive } = await answer.json();
  const list = document.querySelector("#scenes");
  const outcome = document.querySelector("#outcome");
  hide(outcome);
  list.replaceChildren();
  const still = matchMedia("(prefers-reduced-motion: reduce)").matches;
  for (const scene of scenes) {
    list.append(draw(scene));
    if (!still) await new Promise((done) => setTimeout(done, 900));
  }
  show(outcome, alive
    ? "The session of the phone still lives."
    : "The session of the phone is dead, for the thief and for the victim. Your own goes on.");
}

function draw(scene) {
  const item = document.querySelector("#scene").content.cloneNode(true).firstElementChild;
  const put = (where, text) => { item.querySelector(where).textContent = text; };
  item.classList.add(scene.who);
  put(".actor", scene.who === "thief" ? "The thief" : "The victim’s phone");
  put(".does", scene.does);
  put(".means", scene.means);
  const answer = item.querySelector(".answer");
  if (scene.status) {
    put(".answer code", `${scene.request} → ${scene.status} ${scene.answer}`);
    answer.classList.toggle("refused", scene.status >= 400);
  } else answer.remove();
  return item;
}

function onSubmit(selector, run) {
  for (const form of document.querySelectorAll(selector)) {
    form.addEventListener("submit", async (event) => {
      event.preventDefault();
      const button = form.querySelector("button");
      if (button.disabled) return;
      const problem = document.querySelector("#problem");
      hide(problem);
      button.disabled = true;
      try {
        await run(form);
      } catch (fault) {
        show(problem, fault.message);
        problem.scrollIntoView({ block: "nearest" });
      } finally {
        button.disabled = false;
        button.focus();
      }
    });
    form.querySelector("button").disabled = false; // before, nobody would have sent it
  }
}

onSubmit("form[data-action]", act);
onSubmit("form[data-play]", play);
watchTimes();

// The session is still open, and only the access token is over: go on at once.
document.querySelector("form[data-renew]")?.requestSubmit();

const told = sessionStorage.getItem("told");
if (told) {
  sessionStorage.removeItem("told");
  document.querySelector("#told")?.append(told);
}

// A page that the browser kept must not outlive the session.
addEventListener("pageshow", (event) => { if (event.persisted) location.reload(); });
