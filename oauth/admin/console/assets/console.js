// The pages work without this script. It adds buttons to copy, a filter for
// permissions, and removes the secret when the page is left.
"use strict";

// Screen readers read a live region when its text changes.
const live = document.getElementById("live");
const first = document.querySelector("[data-say]");
if (first) setTimeout(() => { live.textContent = first.dataset.say; }, 200);

// Buttons that copy the text of an element.
for (const button of document.querySelectorAll("[data-copy]")) {
  if (!navigator.clipboard) continue;
  button.hidden = false;
  const label = button.firstChild;
  const name = label.textContent;
  let back;
  button.addEventListener("click", async () => {
    const element = document.getElementById(button.dataset.copy);
    let said = "Copied";
    try {
      await navigator.clipboard.writeText(element.textContent);
    } catch {
      said = "Press Ctrl+C";
      getSelection().selectAllChildren(element);
    }
    label.textContent = said;
    live.textContent = said + ".";
    clearTimeout(back);
    back = setTimeout(() => { label.textContent = name; live.textContent = ""; }, 3000);
  });
}

// The filter of the list of permissions.
const filter = document.querySelector("[data-filter]");
if (filter) {
  const input = filter.querySelector("input");
  const status = filter.querySelector("[data-chosen]");
  const groups = [...document.querySelectorAll(".group")];
  const update = () => {
    const words = input.value.toLowerCase().split(/\s+/).filter(Boolean);
    let shown = 0, chosen = 0;
    for (const group of groups) {
      let any = false;
      const title = group.querySelector("legend").textContent;
      for (const choice of group.querySelectorAll(".check")) {
        const text = (title + " " + choice.textContent).toLowerCase();
        choice.hidden = !words.every((word) => text.includes(word));
        if (!choice.hidden) { any = true; shown++; }
        if (choice.querySelector("input").checked) chosen++;
      }
      group.hidden = !any;
    }
    status.textContent = chosen + " chosen" + (words.length ? ", " + shown + " shown" : "");
  };
  filter.hidden = false;
  input.addEventListener("input", update);
  // Enter must not send the form.
  input.addEventListener("keydown", (event) => { if (event.key === "Enter") event.preventDefault(); });
  document.querySelector(".groups").addEventListener("change", update);
  update();
}

// Typing a day or a number selects the option that it belongs to.
for (const field of document.querySelectorAll("[data-picks]")) {
  field.addEventListener("input", () => {
    const choices = field.closest("fieldset").querySelectorAll("input[type=radio]");
    for (const choice of choices) if (choice.value === field.dataset.picks) choice.checked = true;
  });
}

// The list of problems gets the focus, so that it is read first.
const problems = document.getElementById("problems");
if (problems) problems.focus();

// A browser may keep a page in its back/forward cache. The secret is removed first.
addEventListener("pagehide", () => {
  for (const element of document.querySelectorAll("[data-secret]")) element.textContent = "shown once";
});
