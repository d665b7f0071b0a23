// Reloads this page when the book has been built anew. Put in by `cargo book` while it serves.
(() => {
  const build = document.currentScript.dataset.build;
  let events = null;

  // A browser keeps few connections to one server. A page that nobody looks at gives its own back, and asks
  // what it missed when it is looked at again.
  function listen() {
    if (document.hidden) {
      if (events) events.close();
      events = null;
    } else if (!events) {
      events = new EventSource("/__book/events/" + build);
      events.addEventListener("reload", () => location.reload());
    }
  }

  document.addEventListener("visibilitychange", listen);
  listen();
})();
