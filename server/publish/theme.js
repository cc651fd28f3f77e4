// Light or dark: what the system says, unless it was chosen, here or on the dashboard. Runs before the first paint.
{
  const KEY = "latentcast-theme";
  const system = matchMedia("(prefers-color-scheme: dark)");
  let chosen = null;
  try {
    chosen = localStorage.getItem(KEY);
  } catch {
    // storage may be forbidden
  }

  const apply = () => {
    document.documentElement.dataset.theme = chosen ?? (system.matches ? "dark" : "light");
  };

  window.toggleTheme = () => {
    chosen = document.documentElement.dataset.theme === "dark" ? "light" : "dark";
    apply();
    try {
      localStorage.setItem(KEY, chosen);
    } catch {
      // as above: it lasts as long as the page
    }
  };

  system.addEventListener("change", apply);
  apply();
}
