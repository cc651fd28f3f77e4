// Light or dark: what the system says, unless it was chosen here. Runs before the first paint, so nothing flashes.
{
  const KEY = "latentcast-theme";
  const system = matchMedia("(prefers-color-scheme: dark)");
  const chosen = () => {
    try {
      return localStorage.getItem(KEY);
    } catch {
      return null; // storage may be forbidden
    }
  };

  function apply() {
    const theme = chosen() ?? (system.matches ? "dark" : "light");
    document.documentElement.dataset.theme = theme;
    document.dispatchEvent(new CustomEvent("themechange", { detail: theme }));
  }

  window.toggleTheme = () => {
    const next = document.documentElement.dataset.theme === "dark" ? "light" : "dark";
    try {
      // Choosing what the system says anyway means following it again.
      if ((next === "dark") === system.matches) localStorage.removeItem(KEY);
      else localStorage.setItem(KEY, next);
      apply();
    } catch {
      document.documentElement.dataset.theme = next;
      document.dispatchEvent(new CustomEvent("themechange", { detail: next }));
    }
  };

  system.addEventListener("change", apply);
  apply();
}
