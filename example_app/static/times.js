// Times: in the words of the reader's place, and running down by the clock of the app.

const LOCAL = new Intl.DateTimeFormat(undefined, { dateStyle: "medium", timeStyle: "short" });

// The clock of this machine may be wrong; the page says what the app's was.
const root = document.documentElement.dataset.now;
const ahead = root ? Date.now() - Date.parse(root) : 0;
const now = () => Date.now() - ahead;

function inWords(seconds) {
  const days = Math.floor(seconds / 86400);
  const hours = Math.floor((seconds % 86400) / 3600);
  const minutes = Math.floor((seconds % 3600) / 60);
  if (days) return `${days} d ${hours} h`;
  if (hours) return `${hours} h ${minutes} min`;
  return minutes ? `${minutes} min ${String(seconds % 60).padStart(2, "0")} s` : `${seconds} s`;
}

function tell(text) {
  const told = document.querySelector("#told");
  if (told) told.textContent = text;
}

function runDown(bar) {
  const ends = Date.parse(bar.dataset.ends);
  const [name, left, progress] = bar.children;
  let before = Infinity;
  return () => {
    const seconds = Math.max(0, Math.floor((ends - now()) / 1000));
    progress.value = seconds;
    left.textContent = seconds ? inWords(seconds) : bar.dataset.over;
    bar.classList.toggle("over", seconds === 0);
    // Told once each: nobody wants to hear every second.
    if (before !== Infinity && before > 60 && seconds <= 60) tell(`${name.textContent}: one minute is left.`);
    if (before !== Infinity && before > 0 && seconds === 0) tell(`${name.textContent}: ${bar.dataset.over}`);
    before = seconds;
  };
}

function waitFor(form) {
  const ready = Date.parse(form.dataset.ready);
  const button = form.querySelector("button");
  const wait = form.querySelector("[data-wait]");
  button.disabled = true;
  wait.textContent = "Every worker hears of it now…";
  let waiting = true;
  return () => {
    if (!waiting || ready > now()) return;
    waiting = button.disabled = false;
    wait.textContent = "Every worker knows it.";
  };
}

export function watchTimes() {
  for (const time of document.querySelectorAll("time")) {
    time.title = time.textContent;
    time.textContent = LOCAL.format(new Date(time.dateTime));
  }
  const ticks = [
    ...Array.from(document.querySelectorAll(".bar"), runDown),
    ...Array.from(document.querySelectorAll("form[data-ready]"), waitFor),
  ];
  const tick = () => ticks.forEach((each) => each());
  tick();
  if (ticks.length) setInterval(tick, 1000);
}
