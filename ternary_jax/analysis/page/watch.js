"use strict";
// Asks the server whether the workdir has changed, and loads the page again then; its place on the page stays.
(() => {
  const shown = document.documentElement.dataset.stamp;
  async function ask() {
    try {
      const answer = await fetch("/state", {cache: "no-store"});
      if ((await answer.json()).stamp !== shown) location.reload();
    } catch { /* the server has ended, and the page stays as it is */ }
  }
  setInterval(ask, 2000);
})();
