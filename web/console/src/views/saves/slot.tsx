import { useId } from "preact/hooks";
import { bytes } from "../../format";
import { href } from "../../router";
import { t, tn } from "../../strings";
import { Notice } from "../../ui/messages";
import { Moment } from "../../ui/values";
import { titleOf } from "../play/words";
import type { Done } from ".";
import { Delete, Keep, Rename, Undo } from "./changes";
import type { Choice, Slot } from "./slots";
import { Versions } from "./versions";

/** One slot: what is current, the choice in a conflict, its versions, and what can be done with it. */
export function SlotCard({ slot, console: name, finish }: { slot: Slot; console: string; finish: (done: Done) => void }) {
  const titleId = useId();
  const isDeleted = slot.deletedAt !== null;
  return (
    <article class="card stack slot" aria-labelledby={titleId} data-save={slot.saveId}>
      <header class="row apart">
        <div class="row">
          <h2 id={titleId}>
            {titleOf(slot.gameId) ?? t("saves.noGame")} <small>· {slot.saveId}</small>
          </h2>
          <span class="tag">{name}</span>
          {slot.inUse && <span class="tag accent">{t("saves.inUse")}</span>}
          {slot.conflict && <span class="tag warn">{t("saves.conflict")}</span>}
        </div>
        {!isDeleted && slot.gameId && (
          <a class="button" href={href(["play"], { console: slot.console, game: slot.gameId, save: slot.saveId })}>
            {t("saves.play")}
          </a>
        )}
      </header>
      <Current slot={slot} />
      {slot.conflict && !isDeleted && <Conflict slot={slot} finish={finish} />}
      {slot.inUse && <p class="muted">{t("saves.inUseWhy")}</p>}
      {isDeleted ? (
        <p class="row">
          <span>
            {slot.purgedAt && (
              <>
                {t("saves.purgedAt")} <Moment at={slot.purgedAt} />
              </>
            )}
          </span>
          <Undo slotId={slot.id} finish={finish} />
        </p>
      ) : (
        <div class="row">
          <Rename slot={slot} finish={finish} />
          <Delete slot={slot} finish={finish} />
        </div>
      )}
      <Versions slot={slot} finish={finish} />
    </article>
  );
}

function Current({ slot: { current, states } }: { slot: Slot }) {
  if (!current && !states) return <p class="muted">{t("saves.nothing")}</p>;
  return (
    <dl class="facts">
      {current && (
        <>
          <dt>{t("saves.current")}</dt>
          <dd>
            <Moment at={current.at} />{" "}
            <span class="muted">
              {[tn("saves.files", current.files), bytes(current.bytes), current.device].filter(Boolean).join(" · ")}
            </span>
          </dd>
        </>
      )}
      {states && (
        <>
          <dt>{t("saves.states")}</dt>
          <dd>
            <Moment at={states.at} />{" "}
            <span class="muted">
              {tn("saves.files", states.files)} · {bytes(states.bytes)}
            </span>
          </dd>
        </>
      )}
    </dl>
  );
}

/** Shows the versions of a conflict side by side. */
function Conflict({ slot, finish }: { slot: Slot; finish: (done: Done) => void }) {
  const versions = slot.conflict?.versions ?? [];
  const shrunk = versions.some((version) => version.reason === "SHRUNK");
  return (
    <section class="stack">
      <Notice tone="warn">{shrunk ? t("saves.shrunkWhy") : t("saves.conflictWhy")}</Notice>
      <ul class="choices">
        {versions.map((version) => (
          <ChoiceCard key={version.id} version={version} finish={finish} />
        ))}
      </ul>
    </section>
  );
}

function ChoiceCard({ version, finish }: { version: Choice; finish: (done: Done) => void }) {
  return (
    <li class="stack" data-version={version.id}>
      <div class="row">
        <h3>
          <Moment at={version.at} />
        </h3>
        {version.isCurrent && <span class="tag good">{t("saves.isCurrent")}</span>}
        {version.damaged && <span class="tag bad">{t("saves.damaged")}</span>}
      </div>
      <dl class="facts">
        <dt>{t("saves.device")}</dt>
        <dd>{version.device ?? t("saves.unknown")}</dd>
        <dt>{t("saves.content")}</dt>
        <dd>
          {tn("saves.files", version.files)}, {bytes(version.bytes)}
        </dd>
      </dl>
      <Keep version={version} finish={finish} />
    </li>
  );
}
