// The changes of saves, each with its button. All can be repeated; the service refuses those that would lose something.

import { useState } from "preact/hooks";
import { Refused } from "../../graphql/errors";
import { useMutation } from "../../graphql/hooks";
import { moment } from "../../format";
import { t } from "../../strings";
import { Confirm } from "../../ui/dialog";
import { ErrorMessage } from "../../ui/messages";
import type { Done } from ".";
import type { Choice, Slot, Version } from "./slots";

type Finish = (done: Done) => void;

export function Keep({ version, finish }: { version: Choice; finish: Finish }) {
  const keep = useMutation("KeepSave");
  const run = async () => {
    if (await keep.run({ versionId: version.id })) finish({ text: t("saves.kept", { time: moment(version.at) }) });
  };
  return (
    <>
      <ErrorMessage error={keep.error} />
      <button type="button" class="primary" disabled={keep.busy} onClick={() => void run()}>
        {t("saves.keep")}
      </button>
    </>
  );
}

export function Restore({ slot, version, finish }: { slot: Slot; version: Version; finish: Finish }) {
  const [asking, setAsking] = useState(false);
  const restore = useMutation("RestoreSave");
  const run = async () => {
    if (!(await restore.run({ versionId: version.id }))) return;
    setAsking(false);
    finish({ text: t("saves.restored", { time: moment(version.at) }) });
  };
  return (
    <>
      <button type="button" disabled={slot.inUse} onClick={() => setAsking(true)}>
        {t("saves.restore")}
      </button>
      {asking && (
        <Confirm
          title={t("saves.restoreTitle")}
          action={t("saves.restore")}
          busy={restore.busy}
          error={restore.error}
          confirm={() => void run()}
          close={() => setAsking(false)}
        >
          <p>{t("saves.restoreWhat", { time: moment(version.at) })}</p>
        </Confirm>
      )}
    </>
  );
}

export function Download({ version }: { version: Version }) {
  const download = useMutation("DownloadSave");
  const run = async () => {
    const url = (await download.run({ versionId: version.id }))?.download?.url;
    if (!url) return;
    const link = Object.assign(document.createElement("a"), { href: url, target: "_blank", rel: "noopener noreferrer" });
    link.download = "";
    link.click();
  };
  return (
    <>
      <button type="button" disabled={download.busy} onClick={() => void run()}>
        {t("saves.download")}
      </button>
      <ErrorMessage error={download.error} />
    </>
  );
}

export function Rename({ slot, finish }: { slot: Slot; finish: Finish }) {
  const [asking, setAsking] = useState(false);
  const [name, setName] = useState(slot.saveId);
  const rename = useMutation("RenameSave");
  const run = async () => {
    if (!(await rename.run({ slotId: slot.id, saveId: name.trim() }))) return;
    setAsking(false);
    finish({ text: t("saves.renamed", { name: name.trim() }) });
  };
  const invalid = rename.error instanceof Refused && rename.error.about("saveId") !== undefined;
  return (
    <>
      <button type="button" disabled={slot.inUse} onClick={() => setAsking(true)}>
        {t("saves.rename")}
      </button>
      {asking && (
        <Confirm
          title={t("saves.rename")}
          action={t("saves.rename")}
          busy={rename.busy}
          error={rename.error}
          confirm={() => void run()}
          close={() => setAsking(false)}
        >
          <label class="field">
            {t("saves.name")}
            <input
              value={name}
              maxLength={128}
              aria-invalid={invalid}
              onInput={(event) => setName(event.currentTarget.value)}
            />
          </label>
          <p class="muted">{t("saves.nameRule")}</p>
        </Confirm>
      )}
    </>
  );
}

export function Delete({ slot, finish }: { slot: Slot; finish: Finish }) {
  const [asking, setAsking] = useState(false);
  const remove = useMutation("DeleteSave");
  const run = async () => {
    const payload = await remove.run({ slotId: slot.id });
    if (!payload) return;
    setAsking(false);
    finish({ text: t("saves.deletedNow", { name: slot.saveId }), deletedSlotId: payload.slot?.id });
  };
  return (
    <>
      <button type="button" class="danger" disabled={slot.inUse} onClick={() => setAsking(true)}>
        {t("saves.delete")}
      </button>
      {asking && (
        <Confirm
          title={t("saves.delete")}
          action={t("saves.delete")}
          danger
          busy={remove.busy}
          error={remove.error}
          confirm={() => void run()}
          close={() => setAsking(false)}
        >
          <p>{t("saves.deleteWhat", { name: slot.saveId })}</p>
        </Confirm>
      )}
    </>
  );
}

/** Brings a deleted slot back. */
export function Undo({ slotId, finish }: { slotId: string; finish: Finish }) {
  const undelete = useMutation("UndeleteSave");
  const run = async () => {
    const payload = await undelete.run({ slotId });
    if (payload) finish({ text: t("saves.undeleted", { name: payload.slot?.saveId ?? "" }) });
  };
  return (
    <>
      <button type="button" disabled={undelete.busy} onClick={() => void run()}>
        {t("saves.undelete")}
      </button>
      <ErrorMessage error={undelete.error} />
    </>
  );
}
