// Small and optional: every page works without it.
"use strict";

(function () {
  const AGE_STEP = 30000;

  function words(count, unit, future) {
    const told = count + " " + unit + (count === 1 || unit === "min" ? "" : "s");
    return future ? "in " + told : told + " ago";
  }

  // The same words as justpayme.web.format.moment, for moments within a day.
  function relative(then, now, short) {
    const seconds = Math.round((now - then) / 1000);
    const future = seconds < 0;
    const age = Math.abs(seconds);
    if (age < 60) return future ? "in less than a minute" : "just now";
    if (age < 3600) return words(Math.floor(age / 60), short ? "min" : "minute", future);
    return words(Math.floor(age / 3600), "hour", future);
  }

  function refreshTimes() {
    const now = Date.now();
    document.querySelectorAll("time[data-relative]").forEach(function (element) {
      const then = Date.parse(element.dateTime);
      if (Number.isNaN(then)) return;
      const told = relative(then, now, element.dataset.relative === "short");
      if (element.textContent !== told) element.textContent = told;
    });
  }

  // <a data-dialog href="…"> opens the page behind the link as a dialog: its <main> holds
  // an element [data-dialog-content]. Without script the link simply opens the page.
  async function openDialog(link) {
    const answer = await fetch(link.href, { headers: { "X-Requested-With": "dialog" } });
    if (!answer.ok || answer.redirected) return location.assign(link.href);
    const page = new DOMParser().parseFromString(await answer.text(), "text/html");
    const content = page.querySelector("[data-dialog-content]");
    if (!content) return location.assign(link.href);
    showDialog(document.adoptNode(content), link);
  }

  function showDialog(content, link) {
    const dialog = document.createElement("dialog");
    dialog.className = "dlg";
    const heading = content.querySelector("h1, h2");
    if (heading) {
      heading.id = heading.id || "dialog-title";
      dialog.setAttribute("aria-labelledby", heading.id);
    }
    dialog.append(content);
    document.body.append(dialog);
    dialog.addEventListener("click", function (event) {
      if (event.target.closest("[data-dialog-close]")) {
        event.preventDefault();
        dialog.close();
      }
    });
    dialog.addEventListener("close", function () {
      dialog.remove();
      link.focus();
    });
    dialog.showModal();
    const safe = dialog.querySelector("[data-dialog-close]");
    if (safe) safe.focus();
  }

  document.addEventListener("click", function (event) {
    const link = event.target.closest("a[data-dialog]");
    const plain = !(event.metaKey || event.ctrlKey || event.shiftKey || event.button);
    if (!link || !plain) return;
    event.preventDefault();
    openDialog(link).catch(function () {
      location.assign(link.href);
    });
  });

  // A pressed button of a form with data-busy="Syncing" says so, once.
  document.addEventListener("submit", function (event) {
    const button = event.submitter;
    if (!button || !button.dataset.busy || button.ariaDisabled === "true") return;
    button.ariaDisabled = "true";
    const label = button.querySelector("span");
    if (label) label.textContent = button.dataset.busy;
    button.classList.add("tick-turn");
  });

  document.addEventListener("htmx:configRequest", function (event) {
    const token = document.querySelector("input[name=csrfmiddlewaretoken]");
    if (token) event.detail.headers["X-CSRFToken"] = token.value;
  });
  document.addEventListener("htmx:afterSettle", refreshTimes);

  refreshTimes();
  setInterval(refreshTimes, AGE_STEP);
})();
