// Reads the page again while an import runs, so that the counts move. Without it the page
// refreshes itself, and the import goes on in any case.
"use strict";

(function () {
  async function step() {
    const here = document.querySelector("#progress[data-poll]");
    if (!here) return;
    if (!document.hidden) {
      try {
        const answer = await fetch(location.href, { headers: { "X-Requested-With": "poll" } });
        if (answer.ok && !answer.redirected) show(here, await answer.text());
      } catch {
        // The next step tries again.
      }
    }
    setTimeout(step, Number(here.dataset.poll));
  }

  function show(here, text) {
    const page = new DOMParser().parseFromString(text, "text/html");
    const fresh = page.querySelector("#progress");
    if (!fresh) return;
    document.title = page.title;
    if (fresh.dataset.poll) {
      // The live region stays in place and only its words change, so that it is announced.
      here.querySelector(".lede").textContent = fresh.querySelector(".lede").textContent;
      here.querySelector("section").replaceChildren(...fresh.querySelector("section").children);
    } else {
      here.replaceWith(document.adoptNode(fresh));
    }
  }

  setTimeout(step, 2000);
})();
