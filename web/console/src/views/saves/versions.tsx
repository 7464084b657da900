import { useEffect, useState } from "preact/hooks";
import { bytes } from "../../format";
import { t, tn } from "../../strings";
import { ErrorMessage } from "../../ui/messages";
import { Moment } from "../../ui/values";
import type { Done } from ".";
import { Download, Restore } from "./changes";
import { allVersions, type Slot, type Version } from "./slots";

/** The versions of a slot, newest first. Those after the first page are loaded when they are asked for. */
export function Versions({ slot, finish }: { slot: Slot; finish: (done: Done) => void }) {
  const [all, setAll] = useState<Version[]>();
  const [wanted, setWanted] = useState(false);
  const [error, setError] = useState<unknown>();
  useEffect(() => {
    setAll(undefined);
    if (!wanted) return;
    const abort = new AbortController();
    allVersions(slot, abort.signal).then(setAll, (failure: unknown) => !abort.signal.aborted && setError(failure));
    return () => abort.abort();
  }, [slot, wanted]);
  const versions = all ?? slot.versions.edges.map((edge) => edge.node);
  if (versions.length === 0) return null;
  const more = all === undefined && slot.versions.pageInfo.hasNextPage;
  return (
    <details class="versions">
      <summary>{more ? t("saves.manyVersions") : tn("saves.versions", versions.length)}</summary>
      <div class="table-wrap" role="region" aria-label={t("saves.versionsOf", { save: slot.saveId })} tabIndex={0}>
        <table>
          <thead>
            <tr>
              <th scope="col">{t("saves.time")}</th>
              <th scope="col">{t("saves.content")}</th>
              <th scope="col">{t("saves.device")}</th>
              <th scope="col">{t("saves.why")}</th>
              <th scope="col">
                <span class="hidden">{t("saves.actions")}</span>
              </th>
            </tr>
          </thead>
          <tbody>
            {versions.map((version) => (
              <Row key={version.id} slot={slot} version={version} finish={finish} />
            ))}
          </tbody>
        </table>
      </div>
      <ErrorMessage error={error} />
      {more && (
        <button type="button" onClick={() => setWanted(true)}>
          {t("saves.allVersions")}
        </button>
      )}
    </details>
  );
}

function Row({ slot, version, finish }: { slot: Slot; version: Version; finish: (done: Done) => void }) {
  return (
    <tr data-version={version.id}>
      <td>
        <Moment at={version.at} />
        <br />
        {version.isCurrent && <span class="tag good">{t("saves.isCurrent")}</span>}
        {version.damaged && <span class="tag bad">{t("saves.damaged")}</span>}
      </td>
      <td>
        {t(`saveKind.${version.kind}`)}
        <br />
        <span class="muted">
          {tn("saves.files", version.files)}, {bytes(version.bytes)}
        </span>
      </td>
      <td>{version.device ?? t("saves.unknown")}</td>
      <td>{t(`saveReason.${version.reason}`)}</td>
      <td>
        <div class="row">
          {!version.isCurrent && !version.damaged && <Restore slot={slot} version={version} finish={finish} />}
          <Download version={version} />
        </div>
      </td>
    </tr>
  );
}
