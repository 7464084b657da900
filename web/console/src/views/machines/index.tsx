import { useState } from "preact/hooks";
import type { VMStatus } from "../../graphql/generated";
import { replaceQuery } from "../../router";
import { t, tn } from "../../strings";
import { Empty, ErrorMessage, Skeleton } from "../../ui/messages";
import type { ViewProps } from "../../views";
import { MachineDialog } from "./dialog";
import { LIVE, useMachines } from "./store";
import { Table } from "./table";
import "./machines.css";

const STATUSES: readonly VMStatus[] = [...LIVE, "DELETED", "FAILED"];

/** All machines, current without reloading. The address keeps the filters. */
export default function Machines({ route }: ViewProps) {
  const chosen = route.query.get("status") ?? "live";
  const user = route.query.get("user") ?? "";
  const status = chosen === "all" ? null : chosen === "live" ? LIVE : STATUSES.filter((each) => each === chosen);
  const { machines, loading, error, more, done, reload } = useMachines(status, user || null);
  const [opened, setOpened] = useState<string>();
  const machine = machines.find((each) => each.id === opened);
  return (
    <>
      <h1>{t("machines.title")}</h1>
      <div class="stack">
        <Filters status={chosen} user={user} />
        <ErrorMessage error={error} retry={reload} />
        {machines.length > 0 ? (
          <Table machines={machines} more={more} open={setOpened} />
        ) : loading ? (
          <Skeleton rows={8} />
        ) : (
          !error && <Empty>{t("machines.none")}</Empty>
        )}
        <p class="muted" role="status">
          {done ? tn("machines.shown", machines.length) : t("machines.loaded", { count: machines.length })}
        </p>
      </div>
      {machine && <MachineDialog machine={machine} close={() => setOpened(undefined)} />}
    </>
  );
}

function Filters({ status, user }: { status: string; user: string }) {
  const change = (query: { status?: string; user?: string }) => replaceQuery({ status, user, ...query });
  return (
    <div class="row filters">
      <label class="field">
        {t("machines.status")}
        <select value={status} onChange={(event) => change({ status: event.currentTarget.value })}>
          <option value="live">{t("machines.live")}</option>
          {STATUSES.map((each) => (
            <option key={each} value={each}>
              {t(`vmStatus.${each}`)}
            </option>
          ))}
          <option value="all">{t("machines.all")}</option>
        </select>
      </label>
      <label class="field">
        {t("machines.user")}
        <input
          value={user}
          placeholder={t("machines.userHow")}
          onChange={(event) => change({ user: event.currentTarget.value.trim() })}
        />
      </label>
    </div>
  );
}
