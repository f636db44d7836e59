// Tells the server the reader's time zone, for the times on the next pages.
const zone = Intl.DateTimeFormat().resolvedOptions().timeZone;
if (zone) document.cookie = `time_zone=${zone}; path=/; max-age=31536000; samesite=lax`;
