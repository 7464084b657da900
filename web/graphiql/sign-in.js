// Asks for the page again, with the credential that a browser cannot send by itself. It is kept nowhere.
document.getElementById("sign-in").addEventListener("submit", async (event) => {
  event.preventDefault();
  const credential = document.getElementById("credential").value.trim().replace(/^Bearer\s+/i, "");
  const isJwt = credential.split(".").length === 3;
  const header = isJwt ? { Authorization: `Bearer ${credential}` } : { "X-API-Key": credential };
  const answer = await fetch(window.location.pathname, { headers: { Accept: "text/html", ...header } }).catch(() => null);
  if (!answer?.ok) {
    document.getElementById("refused").textContent = "No operator has this credential.";
    return;
  }
  const page = await answer.text();
  document.open();
  document.write(page);
  document.close();
});
