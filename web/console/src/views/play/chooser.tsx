import { useState } from "preact/hooks";
import type { Data } from "../../graphql/client";
import type { ConsoleType } from "../../graphql/generated";
import { useQuery } from "../../graphql/hooks";
import { replaceQuery, type Route } from "../../router";
import { t, tn } from "../../strings";
import { Empty, ErrorMessage, Skeleton } from "../../ui/messages";
import { Cover } from "./cover";
import { useGames, type Game } from "./games";
import { Offer } from "./offer";
import type { Machine } from "./sessions";

export type Console = Data<"Consoles">["consoles"][number];

/** Chooses a console, one of its games and a place. The address has the choice, so that it can be kept and shared. */
export function Chooser({ route, machines }: { route: Route; machines: Machine[] }) {
  const consoles = useQuery("Consoles", {});
  const type = route.query.get("console");
  const chosen = consoles.data?.consoles.find((each) => each.type === type);
  return (
    <div class="chooser">
      <div class="stack choose">
        <section aria-labelledby="consoles-title" class="card">
          <h2 id="consoles-title">{t("play.consoles")}</h2>
          <ErrorMessage error={consoles.error} retry={consoles.reload} />
          {consoles.data ? (
            <ConsoleList consoles={consoles.data.consoles} chosen={chosen?.type} />
          ) : (
            !consoles.error && <ConsolesToCome />
          )}
        </section>
        {chosen && <GameList key={chosen.type} console={chosen} chosenId={route.query.get("game")} />}
      </div>
      <Offer
        console={chosen}
        gameId={route.query.get("game")}
        saveId={route.query.get("save")}
        machine={machines.find((each) => each.console.type === chosen?.type && each.status === "RUNNING")}
      />
    </div>
  );
}

function ConsoleList({ consoles, chosen }: { consoles: Console[]; chosen: ConsoleType | undefined }) {
  return (
    <ul class="consoles">
      {consoles.map((each) => (
        <li key={each.type}>
          <button
            type="button"
            aria-pressed={each.type === chosen}
            onClick={() => replaceQuery({ console: each.type })}
          >
            <strong>{each.name}</strong>
            {!each.playable && <span class="tag warn">{t("play.notPlayable")}</span>}
          </button>
        </li>
      ))}
    </ul>
  );
}

const CONSOLES = 9;

/** Keeps the room of the consoles, so that nothing moves when they come. */
function ConsolesToCome() {
  return (
    <div class="consoles skeleton" role="status" aria-busy="true" aria-label={t("app.loading")}>
      {Array.from({ length: CONSOLES }, (_, at) => (
        <div key={at} class="console-to-come" />
      ))}
    </div>
  );
}

function GameList({ console: { type, name, playable }, chosenId }: { console: Console; chosenId: string | null }) {
  const { games, error, loading, reload } = useGames(type);
  const [wanted, setWanted] = useState("");
  const shown = matching(games, wanted);
  const withCovers = games.some((game) => game.coverUrl !== null);
  return (
    <section aria-labelledby="games-title" class="card">
      <h2 id="games-title">{t("play.games", { console: name })}</h2>
      {!playable && <p class="message warn">{t("play.notPlayableWhy")}</p>}
      <label class="field search">
        {t("play.search")}
        <input type="search" value={wanted} onInput={(event) => setWanted(event.currentTarget.value)} />
      </label>
      <p class="muted" role="status">
        {loading && games.length === 0 ? t("app.loading") : tn("play.found", shown.length)}
      </p>
      <ErrorMessage error={error} retry={reload} />
      {games.length === 0 && loading && <Skeleton rows={3} />}
      {games.length === 0 && !loading && !error && <Empty>{t("play.noGames")}</Empty>}
      {games.length > 0 && shown.length === 0 && <Empty>{t("play.noneFound")}</Empty>}
      <ul class="games">
        {shown.slice(0, SHOWN).map((game) => (
          <li key={game.gameId}>
            <GameButton game={game} chosen={game.gameId === chosenId} withCover={withCovers} />
          </li>
        ))}
      </ul>
      {shown.length > SHOWN && <p class="muted">{t("play.searchMore", { count: shown.length - SHOWN })}</p>}
    </section>
  );
}

/** More games than that are found by searching, not by scrolling. */
const SHOWN = 200;

function GameButton({ game, chosen, withCover }: { game: Game; chosen: boolean; withCover: boolean }) {
  return (
    <button
      type="button"
      aria-pressed={chosen}
      onClick={() => replaceQuery({ console: game.console, game: game.gameId })}
    >
      {withCover && <Cover url={game.coverUrl} />}
      {game.title}
    </button>
  );
}

/** Returns the games whose titles have all words of a text, in any order and with or without accents. */
function matching(games: Game[], text: string): Game[] {
  const words = plain(text).split(/\s+/).filter(Boolean);
  return games.filter(({ title }) => words.every((word) => plain(title).includes(word)));
}

function plain(text: string): string {
  return text.normalize("NFD").replace(/\p{M}/gu, "").toLowerCase();
}
