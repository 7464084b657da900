import type { ComponentType } from "preact";
import { useEffect, useRef, useState } from "preact/hooks";
import { useConnection, useQuery } from "./graphql/hooks";
import { Failure } from "./graphql/errors";
import { href, useRoute, type Route } from "./router";
import { isSignedIn, signOut, useSessionTurn } from "./session";
import { SignIn } from "./sign-in";
import { t } from "./strings";
import { chosenTheme, chooseTheme, type Theme } from "./theme";
import { Announcements } from "./ui/announcer";
import { ErrorMessage } from "./ui/messages";
import { viewsOf, VIEWS, type Viewer, type ViewProps } from "./views";

export function App() {
  const turn = useSessionTurn();
  return <Session key={turn} />;
}

/** Asks who the viewer is, and for a credential where one is needed. */
function Session() {
  const { data, error, reload } = useQuery("Viewer", {});
  if (data) return <Shell viewer={data.viewer} version={data.service.version} />;
  if (error instanceof Failure && error.code === "UNAUTHENTICATED") return <SignIn />;
  return (
    <main class="alone">
      {error ? <ErrorMessage error={error} retry={reload} /> : <p class="muted">{t("app.loading")}</p>}
    </main>
  );
}

function Shell({ viewer, version }: { viewer: Viewer; version: string }) {
  const route = useRoute();
  const views = viewsOf(viewer.role);
  const path = route.path[0] ?? views[0]?.path ?? "";
  const content = useRef<HTMLElement>(null);
  const tabs = useRef<HTMLElement>(null);
  useEffect(() => {
    // On a narrow screen not all of them are in sight.
    tabs.current?.querySelector("[aria-current=page]")?.scrollIntoView({ block: "nearest", inline: "center" });
  }, [path]);
  return (
    <>
      <a
        class="skip"
        href="#content"
        onClick={(event) => {
          event.preventDefault();
          content.current?.focus();
        }}
      >
        {t("app.skip")}
      </a>
      <header class="bar">
        <a class="brand" href={href([])}>
          {t("app.name")}
        </a>
        <nav ref={tabs} aria-label={t("app.views")}>
          <ul>
            {views.map((view) => (
              <li key={view.path}>
                <a href={href([view.path])} aria-current={view.path === path ? "page" : undefined}>
                  {t(view.title)}
                </a>
              </li>
            ))}
          </ul>
        </nav>
        <ThemeChoice />
        <span class="viewer" title={t("session.as", { id: viewer.id })}>
          <span class="viewer-id">{viewer.id}</span> <small class="muted">{t(`role.${viewer.role}`)}</small>
          {isSignedIn() && (
            <button type="button" class="quiet" onClick={signOut}>
              {t("session.signOut")}
            </button>
          )}
        </span>
      </header>
      <LostConnection />
      <main id="content" ref={content} tabIndex={-1}>
        <CurrentView key={path} path={path} viewer={viewer} route={route} />
      </main>
      <footer class="muted">
        <small>{t("app.version", { version })}</small>
      </footer>
      <Announcements />
    </>
  );
}

function CurrentView({ path, viewer, route }: { path: string; viewer: Viewer; route: Route }) {
  const [View, setView] = useState<ComponentType<ViewProps>>();
  const [failed, setFailed] = useState(false);
  const view = VIEWS.find((each) => each.path === path);
  const allowed = view?.roles.includes(viewer.role) ?? false;
  useEffect(() => {
    document.title = view ? `${t(view.title)} · ${t("app.name")}` : t("app.name");
    if (!view || !allowed) return;
    view.load().then(
      (loaded) => setView(() => loaded.default),
      () => setFailed(true),
    );
  }, []);
  useFocusOnChange(route);
  if (!view) return <p class="empty">{t("app.notFound")}</p>;
  if (!allowed) return <p class="empty">{t("app.notAllowed")}</p>;
  if (failed) return <Outdated />;
  return View ? <View viewer={viewer} route={route} /> : <p class="muted">{t("app.loading")}</p>;
}

/** A part of the page is gone, because the service was updated while the page was open. */
function Outdated() {
  return (
    <div class="message bad" role="alert">
      <p>{t("app.viewFailed")}</p>
      <button type="button" onClick={() => window.location.reload()}>
        {t("app.reload")}
      </button>
    </div>
  );
}

/** Moves the focus to the new view's content, as a browser does for a new page, but not for the first one. */
function useFocusOnChange(route: Route) {
  const address = route.path.join("/");
  const shown = useRef(lastAddress);
  useEffect(() => {
    if (shown.current !== undefined && shown.current !== address) {
      window.scrollTo(0, 0);
      document.getElementById("content")?.focus({ preventScroll: true });
    }
    shown.current = lastAddress = address;
  }, [address]);
}
let lastAddress: string | undefined;

function LostConnection() {
  const lost = useConnection() === "lost";
  return (
    <div role="status" class="lost" hidden={!lost}>
      {lost && t("app.lost")}
    </div>
  );
}

function ThemeChoice() {
  const [theme, setTheme] = useState(chosenTheme);
  return (
    <label class="theme">
      <span class="hidden">{t("app.theme")}</span>
      <select
        value={theme}
        onChange={(event) => {
          const chosen = event.currentTarget.value as Theme;
          chooseTheme(chosen);
          setTheme(chosen);
        }}
      >
        {(["system", "light", "dark"] as const).map((each) => (
          <option key={each} value={each}>
            {t(`app.theme.${each}`)}
          </option>
        ))}
      </select>
    </label>
  );
}
