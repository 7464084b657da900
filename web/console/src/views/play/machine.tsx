import { useState } from "preact/hooks";
import type { Data } from "../../graphql/client";
import { useFollow, useMutation, useQuery } from "../../graphql/hooks";
import { duration } from "../../format";
import { t } from "../../strings";
import { Confirm } from "../../ui/dialog";
import { Empty, ErrorMessage, Notice, Skeleton } from "../../ui/messages";
import { Moment, Money, useNow } from "../../ui/values";
import { Connect } from "./connect";
import { placeOf, toneOf } from "./words";

export type Machine = NonNullable<Data<"Vm">["vm"]>;

/** The machine of a launch that is ready: how to connect, what it costs, and how to end it. */
export function MachinePart({ id }: { id: string }) {
  const loaded = useQuery("Vm", { id }, { everySeconds: 30 });
  const [change, setChange] = useState<Data<"VmStatus">["vmStatus"]>();
  useFollow("VmStatus", { vmId: id }, ({ vmStatus }) => setChange(vmStatus));
  const vm = loaded.data?.vm;
  if (vm === null) return <Empty>{t("machine.gone")}</Empty>;
  if (!vm) return loaded.error ? <ErrorMessage error={loaded.error} retry={loaded.reload} /> : <Skeleton rows={2} height="18rem" />;
  // The subscription is newer in all but the cost, which grows without an event.
  const machine: Machine = { ...vm, ...change, costSoFar: vm.costSoFar, runningSeconds: vm.runningSeconds };
  return (
    <>
      {machine.warning && <Notice tone="warn">{machine.warning}</Notice>}
      {machine.stream && <Connect vmId={id} stream={machine.stream} />}
      <section class="card stack" aria-labelledby="machine-title">
        <div class="row">
          <h2 id="machine-title">{t("machine.title")}</h2>
          <span class={`tag ${toneOf(machine.status)}`}>{t(`vmStatus.${machine.status}`)}</span>
        </div>
        <Facts machine={machine} />
        <Commands machine={machine} />
      </section>
    </>
  );
}

function Facts({ machine }: { machine: Machine }) {
  return (
    <dl class="facts">
      <dt>{t("machine.place")}</dt>
      <dd>
        {placeOf(machine.location)} ({t(`provider.${machine.provider}`)})
      </dd>
      <dt>{t("machine.price")}</dt>
      <dd>
        <Money exact={machine.hourlyPrice} /> {t("offer.perHour")}
      </dd>
      <dt>{t("machine.cost")}</dt>
      <dd>
        <Money exact={machine.costSoFar} /> <span class="muted">{t("machine.for", { time: duration(machine.runningSeconds) })}</span>
      </dd>
      {machine.stopsAt && (
        <>
          <dt>{t("machine.stopsAt")}</dt>
          <dd>
            <Moment at={machine.stopsAt} /> <Left until={machine.stopsAt} />
          </dd>
        </>
      )}
    </dl>
  );
}

function Left({ until }: { until: string }) {
  const now = useNow(30_000);
  const left = (Date.parse(until) - now) / 1000;
  return <span class="muted">{left > 0 && t("machine.left", { time: duration(left) })}</span>;
}

type Command = "StopVm" | "StartVm" | "DeleteVm";

/** Stopping and deleting are confirmed; the service uploads the saves before either. */
function Commands({ machine }: { machine: Machine }) {
  const [asked, setAsked] = useState<Command>();
  const commands = { StopVm: useMutation("StopVm"), StartVm: useMutation("StartVm"), DeleteVm: useMutation("DeleteVm") };
  const run = (command: Command) =>
    void commands[command].run({ vmId: machine.id }).then((done) => done && setAsked(undefined));
  const stopped = machine.status === "STOPPED";
  if (!stopped && machine.status !== "RUNNING") return null;
  return (
    <>
      <ErrorMessage error={commands.StartVm.error} />
      <p class="actions start">
        {stopped ? (
          <button type="button" class="primary" disabled={commands.StartVm.busy} onClick={() => run("StartVm")}>
            {t("machine.StartVm")}
          </button>
        ) : (
          <button type="button" onClick={() => setAsked("StopVm")}>
            {t("machine.StopVm")}
          </button>
        )}
        <button type="button" class="danger" onClick={() => setAsked("DeleteVm")}>
          {t("machine.DeleteVm")}
        </button>
      </p>
      {asked && (
        <Confirm
          title={t(`machine.${asked}`)}
          action={t(`machine.${asked}`)}
          danger={asked === "DeleteVm"}
          busy={commands[asked].busy}
          error={commands[asked].error}
          close={() => setAsked(undefined)}
          confirm={() => run(asked)}
        >
          <p>{asked === "DeleteVm" ? t("machine.deleteWhat") : t("machine.stopWhat")}</p>
        </Confirm>
      )}
    </>
  );
}
