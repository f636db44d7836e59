// How high a patient's banner is, which stays above the page: as high as its name needs. `--banner` says so.
export function measureBanner() {
  const banner = document.querySelector(".patient-banner");
  if (!banner) return;
  const measure = () => document.documentElement.style.setProperty("--banner", `${banner.offsetHeight}px`);
  new ResizeObserver(measure).observe(banner);
}
