"use strict";
// The token comes behind the # of the printed link, and is kept for this address.
const asked = new URLSearchParams(location.hash.slice(1)), root = document.documentElement;
if (asked.has("token")) {
  try { localStorage.setItem("trajstore.token", asked.get("token")); } catch { /* looking needs none */ }
  history.replaceState(null, "", location.pathname);
}
root.dataset.theme = (() => { try { return localStorage.getItem("trajstore.theme"); } catch { return null; } })() || (matchMedia("(prefers-color-scheme: dark)").matches ? "dark" : "light");
root.dataset.ready = "true";
