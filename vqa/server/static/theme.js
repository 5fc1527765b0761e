// Before anything is drawn: the theme that this reader chose here, else the system's.
(() => {
  const chosen = localStorage.getItem("vqa-theme");
  if (chosen === "dark" || chosen === "light") document.documentElement.dataset.theme = chosen;
})();
