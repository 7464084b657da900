import { useState } from "preact/hooks";
import type { ConsoleType } from "../../graphql/generated";
import { useQuery } from "../../graphql/hooks";
import { replaceQuery } from "../../router";
import { t } from "../../strings";
import { Empty, ErrorMessage, Notice, Skeleton } from "../../ui/messages";
import type { ViewProps } from "../../views";
import { Undo } from "./changes";
import { useSaves, type Slot } from "./slots";
import { SlotCard } from "./slot";
import "./saves.css";

/** What a change did: a sentence, and the slot that can be brought back after a deletion. */
export interface Done {
  text: string;
  deletedSlotId?: string;
}

export default function Saves({ viewer, route }: ViewProps) {
  const consoles = useQuery("Consoles", {});
  const [userId, setUserId] = useState<string | null>(null);
  const [done, setDone] = useState<Done>();
  const query = Object.fromEntries(route.query);
  const all = consoles.data?.consoles ?? [];
  const chosen = all.filter((each) => each.type === query.console);
  const deleted = query.show === "deleted";
  const saves = useSaves(
    (chosen.length > 0 ? chosen : all).map((each) => each.type),
    { gameId: query.game ?? null, userId, deleted },
  );
  const names = new Map<ConsoleType, string>(all.map((each) => [each.type, each.name]));
  const finish = (what: Done) => {
    setDone(what);
    saves.reload();
  };
  return (
    <>
      <h1>{t("saves.title")}</h1>
      <div class="stack">
        <form class="card filters" onSubmit={(event) => event.preventDefault()}>
          <label class="field">
            {t("play.consoles")}
            <select
              value={chosen[0]?.type ?? ""}
              onChange={(event) => replaceQuery({ show: query.show, console: event.currentTarget.value })}
            >
              <option value="">{t("saves.allConsoles")}</option>
              {all.map((each) => (
                <option key={each.type} value={each.type}>
                  {each.name}
                </option>
              ))}
            </select>
          </label>
          <label class="field">
            {t("saves.show")}
            <select
              value={deleted ? "deleted" : ""}
              onChange={(event) => replaceQuery({ ...query, show: event.currentTarget.value })}
            >
              <option value="">{t("saves.present")}</option>
              <option value="deleted">{t("saves.deleted")}</option>
            </select>
          </label>
          {viewer.role !== "PLAYER" && <PlayerField choose={setUserId} />}
        </form>
        {query.game && (
          <p>
            {t("saves.onlyGame", { game: query.game })}{" "}
            <a href="#/saves">{t("saves.allGames")}</a>
          </p>
        )}
        {done && (
          <Notice tone="good">
            {done.text} {done.deletedSlotId && <Undo slotId={done.deletedSlotId} finish={finish} />}
          </Notice>
        )}
        <ErrorMessage error={consoles.error ?? saves.error} retry={saves.reload} />
        <SlotList slots={saves.slots} loading={saves.loading && !saves.error} names={names} deleted={deleted} finish={finish} />
      </div>
    </>
  );
}

/** The user whose saves are shown, for callers who may name any. */
function PlayerField({ choose }: { choose: (userId: string | null) => void }) {
  const [typed, setTyped] = useState("");
  return (
    <label class="field">
      {t("saves.player")}
      <input
        value={typed}
        placeholder={t("saves.yourself")}
        onInput={(event) => setTyped(event.currentTarget.value)}
        onChange={() => choose(typed.trim() || null)}
      />
    </label>
  );
}

function SlotList(props: {
  slots: Slot[];
  loading: boolean;
  names: Map<ConsoleType, string>;
  deleted: boolean;
  finish: (done: Done) => void;
}) {
  if (props.slots.length === 0) {
    if (props.loading) return <Skeleton rows={2} height="11rem" />;
    return <Empty>{props.deleted ? t("saves.noneDeleted") : t("saves.none")}</Empty>;
  }
  return (
    <ul class="stack" aria-busy={props.loading}>
      {props.slots.map((slot) => (
        <li key={slot.id}>
          <SlotCard slot={slot} console={props.names.get(slot.console) ?? slot.console} finish={props.finish} />
        </li>
      ))}
    </ul>
  );
}
