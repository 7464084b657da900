import { useState } from "preact/hooks";
import { useMutation } from "../../graphql/hooks";
import { money } from "../../format";
import { t } from "../../strings";
import { Confirm, Dialog } from "../../ui/dialog";
import { Notice } from "../../ui/messages";
import { Moment, Money, useNow } from "../../ui/values";
import { Connect } from "../play/connect";
import { placeOf, titleOf, toneOf } from "../play/words";
import type { Machine } from "./store";
import { Cost, idleStopAt, Left, Running } from "./ticking";

type Command = "Start" | "Stop" | "Restart" | "Delete";

const COMMANDS: Partial<Record<Machine["status"], readonly Command[]>> = {
  RUNNING: ["Stop", "Restart", "Delete"],
  STOPPED: ["Start", "Delete"],
  LOST: ["Delete"],
};

/** One machine with everything an operator can do about it. */
export function MachineDialog({ machine, close }: { machine: Machine; close: () => void }) {
  const now = useNow(1000);
  const commands = COMMANDS[machine.status] ?? [];
  const [asked, setAsked] = useState<Command>();
  return (
    <Dialog title={machine.name} close={close}>
      <div class="stack">
        {machine.warning && <Notice tone="warn">{machine.warning}</Notice>}
        <dl class="facts">
          <dt>{t("machines.status")}</dt>
          <dd>
            <span class={`tag ${toneOf(machine.status)}`}>{t(`vmStatus.${machine.status}`)}</span>
          </dd>
          <dt>{t("machines.player")}</dt>
          <dd>{machine.userId}</dd>
          <dt>{t("machines.game")}</dt>
          <dd>
            {titleOf(machine.gameId) ?? t("machines.menu")} ({machine.console.type})
          </dd>
          <dt>{t("machines.place")}</dt>
          <dd>
            {placeOf(machine.location)} ({t(`provider.${machine.provider}`)})
          </dd>
          <dt>{t("machines.address")}</dt>
          <dd>{machine.ipAddress ?? "–"}</dd>
          <dt>{t("machines.created")}</dt>
          <dd>
            <Moment at={machine.createdAt} />
          </dd>
          <dt>{t("machines.running")}</dt>
          <dd>
            <Running machine={machine} now={now} />
          </dd>
          <dt>{t("machines.price")}</dt>
          <dd>
            <Money exact={machine.hourlyPrice} />
          </dd>
          <dt>{t("machines.cost")}</dt>
          <dd>
            <Cost machine={machine} now={now} />
          </dd>
          <dt>{t("machines.idle")}</dt>
          <dd>
            <Left until={idleStopAt(machine)} now={now} />
          </dd>
          <dt>{t("machines.ends")}</dt>
          <dd>
            <Left until={machine.stopsAt === null ? undefined : Date.parse(machine.stopsAt)} now={now} />
          </dd>
        </dl>
        {commands.length === 0 && <p class="muted">{t("machines.noCommands")}</p>}
        {machine.stream && (
          <details>
            <summary>{t("machines.pairing")}</summary>
            <Connect vmId={machine.id} stream={machine.stream} />
          </details>
        )}
        <p class="actions">
          {commands.map((command) => (
            <button
              key={command}
              type="button"
              class={command === "Delete" ? "danger" : undefined}
              onClick={() => setAsked(command)}
            >
              {t(`machines.${command}`)}
            </button>
          ))}
          <button type="button" onClick={close}>
            {t("app.close")}
          </button>
        </p>
      </div>
      {asked && <Ask machine={machine} command={asked} close={() => setAsked(undefined)} />}
    </Dialog>
  );
}

/** Every command is confirmed: each of them interrupts someone or costs money. */
function Ask({ machine, command, close }: { machine: Machine; command: Command; close: () => void }) {
  const mutation = useMutation(`${command}Vm`);
  return (
    <Confirm
      title={`${t(`machines.${command}`)}: ${machine.name}`}
      action={t(`machines.${command}`)}
      danger={command === "Delete"}
      busy={mutation.busy}
      error={mutation.error}
      close={close}
      confirm={() => void mutation.run({ vmId: machine.id }).then((done) => done && close())}
    >
      <p>{t(`machines.${command}What`, { price: money(machine.hourlyPrice) })}</p>
    </Confirm>
  );
}
