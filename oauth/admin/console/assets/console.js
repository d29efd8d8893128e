// The pages work without this script. It adds buttons that copy, a search for permissions
// and a list of those selected. It keeps a form from being sent twice, keeps what was
// typed, and removes the secret when the page is left.
"use strict";

// Screen readers read a live region aloud when its text changes.
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

// A form is sent once: a second press of its button would lose the answer to the first
// one, with its secret. Browsers may restore a page with its buttons disabled, so pageshow
// enables them.
const posts = document.querySelectorAll("form[method=post]");
const lock = (form, locked) => {
  form.toggleAttribute("data-sent", locked);
  for (const button of form.querySelectorAll("button:not([type=button])")) button.disabled = locked;
};
for (const form of posts) {
  form.addEventListener("submit", (event) => {
    if (form.hasAttribute("data-sent")) event.preventDefault();
    form.toggleAttribute("data-sent", true);
    setTimeout(() => lock(form, true)); // not at once: the value of a disabled button is not sent
  });
}
addEventListener("pageshow", () => { for (const form of posts) lock(form, false); });

// The page's entry in the browser's history keeps what was typed, except in fields into which
// a private key may be pasted. When the person goes
// back to the page, it is filled in again, unless another person has signed in.
const sheet = document.querySelector("form.sheet");
if (sheet) {
  const person = document.querySelector(".person").textContent;
  const fields = [...sheet.elements].filter((field) => field.name && !["hidden", "submit"].includes(field.type) && !("forget" in field.dataset));
  const ticked = (field) => ["checkbox", "radio"].includes(field.type);
  const keep = () => {
    const kept = fields.filter((field) => !ticked(field) || field.checked).map((field) => [field.name, field.value]);
    history.replaceState({ person, kept }, "");
  };
  if (history.state && history.state.person === person) {
    for (const field of fields) {
      const values = history.state.kept.filter(([name]) => name === field.name).map(([, value]) => value);
      if (ticked(field)) field.checked = values.includes(field.value);
      else if (values.length) field.value = values[0];
    }
  }
  sheet.addEventListener("change", keep);
  sheet.addEventListener("submit", keep);
}

// The search for permissions, and the list of those selected.
const filter = document.querySelector("[data-filter]");
if (filter) {
  const input = filter.querySelector("input");
  const status = filter.querySelector("[data-chosen]");
  const picked = filter.querySelector("[data-picked]");
  const groups = [...document.querySelectorAll(".group")];
  const boxes = [...document.querySelectorAll(".group input")];
  // Wide windows show the groups of permissions in a box that scrolls, so all of them
  // can be open.
  if (matchMedia("(min-width: 761px)").matches) for (const group of groups) group.open = true;
  let before; // whether each group was open before the search
  const chip = (box, at) => {
    const button = document.createElement("button");
    const text = document.createElement("span");
    button.type = "button";
    button.className = "chip";
    text.className = "hidden";
    text.textContent = "Remove ";
    button.append(text, box.value);
    button.addEventListener("click", () => {
      box.click();
      (picked.children[Math.min(at, picked.children.length - 1)] || input).focus();
    });
    return button;
  };
  const update = () => {
    const words = input.value.toLowerCase().split(/\s+/).filter(Boolean);
    const chosen = boxes.filter((box) => box.checked);
    let shown = 0;
    if (words.length) before ||= groups.map((group) => group.open);
    for (const group of groups) {
      let any = false;
      const title = group.querySelector("summary span").textContent;
      const choices = [...group.querySelectorAll(".check")];
      for (const choice of choices) {
        const text = (title + " " + choice.textContent).toLowerCase();
        choice.hidden = !words.every((word) => text.includes(word));
        if (!choice.hidden) { any = true; shown++; }
      }
      group.hidden = !any;
      if (words.length) group.open = any;
      group.querySelector("[data-count]").textContent = chosen.filter((box) => group.contains(box)).length + " of " + choices.length;
    }
    if (!words.length && before) {
      groups.forEach((group, at) => { group.open = before[at]; });
      before = undefined;
    }
    status.textContent = chosen.length + " chosen" + (words.length ? ", " + shown + " shown" : "");
    picked.replaceChildren(...chosen.map(chip));
  };
  filter.hidden = false;
  input.addEventListener("input", update);
  // Enter must not send the form.
  input.addEventListener("keydown", (event) => { if (event.key === "Enter") event.preventDefault(); });
  document.querySelector(".groups").addEventListener("change", update);
  addEventListener("pageshow", update); // the browser may have restored the form
  update();
}

// Typing a day or a number selects the option that it belongs to.
for (const field of document.querySelectorAll("[data-picks]")) {
  field.addEventListener("input", () => {
    const choices = field.closest("fieldset").querySelectorAll("input[type=radio]");
    for (const choice of choices) if (choice.value === field.dataset.picks) choice.checked = true;
  });
}

// The list of problems gets the focus, so that screen readers read it first.
const problems = document.getElementById("problems");
if (problems) problems.focus();

// The secret is removed before a browser puts the page into its back/forward cache.
addEventListener("pagehide", () => {
  for (const element of document.querySelectorAll("[data-secret]")) element.textContent = "shown once";
  for (const field of document.querySelectorAll("#f-secret, [data-forget]")) field.value = "";
});
