(() => {
  // A mark leads to the answers behind it: the fold opens, and the keyboard goes with it.
  const open = () => {
    const part = location.hash.startsWith("#c-") ? document.getElementById(decodeURIComponent(location.hash.slice(1))) : null;
    if (!part) return;
    part.open = true;
    part.querySelector("summary").focus({ preventScroll: true });
    part.scrollIntoView({ block: "start" });
  };
  addEventListener("hashchange", open);
  for (const mark of document.querySelectorAll("svg [data-to]")) {
    mark.addEventListener("click", () => { location.hash = mark.dataset.to; });
  }
  open();
})();
