import { useState } from "preact/hooks";
import { signIn, whyEnded } from "./session";
import { t } from "./strings";

export function SignIn() {
  const [typed, setTyped] = useState("");
  const reason = whyEnded();
  return (
    <main class="alone">
      <form
        class="card sign-in"
        onSubmit={(event) => {
          event.preventDefault();
          signIn(typed);
        }}
      >
        <h1>{t("app.name")}</h1>
        {reason && (
          <p role="alert" class="message bad">
            {t("session.ended", { reason })}
          </p>
        )}
        <label class="field">
          {t("session.credential")}
          <input
            id="credential"
            type="password"
            autoComplete="off"
            spellcheck={false}
            required
            value={typed}
            aria-describedby="credential-hint"
            onInput={(event) => setTyped(event.currentTarget.value)}
          />
        </label>
        <p id="credential-hint" class="muted">
          {t("session.hint")}
        </p>
        <button type="submit" class="primary">
          {t("session.signIn")}
        </button>
      </form>
    </main>
  );
}
