// Mends what the theme's own script adds: a keyboard reaches what scrolls, and buttons beside code are no landmark.
const mend = () => {
  for (const one of document.querySelectorAll(".md-typeset__scrollwrap, .md-typeset pre > code")) {
    if (one.scrollWidth > one.clientWidth) one.tabIndex = 0;
  }
  for (const one of document.querySelectorAll(".md-code__nav")) one.setAttribute("role", "presentation");
};
new MutationObserver(mend).observe(document.body, { childList: true, subtree: true });
addEventListener("resize", mend);
mend();
