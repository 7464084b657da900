import { useState } from "preact/hooks";
import type { Data } from "../../graphql/client";
import type { PresetName } from "../../graphql/generated";
import { useMutation, useQuery } from "../../graphql/hooks";
import { t } from "../../strings";
import { Dialog } from "../../ui/dialog";
import { ErrorMessage, Skeleton } from "../../ui/messages";

type Console = Data<"Consoles">["consoles"][number];

const PRESETS: readonly PresetName[] = ["RETRO", "ADVANCED", "PREMIUM"];

/** What each console needs and allows, with a form to change it. */
export function Consoles() {
  const { data, error, reload } = useQuery("Consoles", {});
  const [changing, setChanging] = useState<Console>();
  return (
    <section class="card stack" aria-labelledby="consoles-title">
      <h2 id="consoles-title">{t("health.consoles")}</h2>
      <ErrorMessage error={error} retry={reload} />
      {!data && !error && <Skeleton rows={5} />}
      {data && (
        <div class="table-wrap" tabIndex={0} role="region" aria-labelledby="consoles-title">
          <table>
            <thead>
              <tr>
                <th scope="col">{t("health.name")}</th>
                <th scope="col">{t("health.preset")}</th>
                <th scope="col">{t("health.image")}</th>
                <th scope="col" class="number">{t("health.hours")}</th>
                <th scope="col" class="number">{t("health.idle")}</th>
                <td />
              </tr>
            </thead>
            <tbody>
              {data.consoles.map((console) => (
                <tr key={console.id}>
                  <td>{console.name}</td>
                  <td>{console.preset.name}</td>
                  <td class="id">{console.emulator.image}</td>
                  <td class="number">{console.maxSessionHours}</td>
                  <td class="number">{console.idleStopMinutes}</td>
                  <td>
                    <button type="button" class="quiet" aria-label={t("health.changeWhat", { name: console.name })} onClick={() => setChanging(console)}>
                      {t("health.change")}
                    </button>
                  </td>
                </tr>
              ))}
            </tbody>
          </table>
        </div>
      )}
      {changing && <Change console={changing} done={reload} close={() => setChanging(undefined)} />}
    </section>
  );
}

function Change({ console, done, close }: { console: Console; done: () => void; close: () => void }) {
  const mutation = useMutation("ConfigureConsole");
  const save = async (form: HTMLFormElement) => {
    const fields = new FormData(form);
    const text = (name: string) => String(fields.get(name) ?? "").trim();
    const saved = await mutation.run({
      input: {
        console: console.type,
        preset: PRESETS.find((preset) => preset === text("preset")),
        emulatorImage: text("image"),
        maxSessionHours: Number(text("hours")),
        idleStopMinutes: Number(text("idle")),
        providers: console.providers.map(({ provider }) => ({
          provider,
          enabled: fields.get(`use ${provider}`) === "on",
          maxHourlyPrice: text(`most ${provider}`) || null,
        })),
      },
    });
    if (!saved) return;
    done();
    close();
  };
  return (
    <Dialog title={t("health.changeWhat", { name: console.name })} close={close}>
      <form
        class="stack"
        onSubmit={(event) => {
          event.preventDefault();
          void save(event.currentTarget);
        }}
      >
        <label class="field">
          {t("health.preset")}
          <select name="preset">
            {PRESETS.map((preset) => (
              <option key={preset} selected={preset === console.preset.name}>
                {preset}
              </option>
            ))}
          </select>
        </label>
        <Field label={t("health.image")} name="image" value={console.emulator.image} />
        <Field label={t("health.hours")} name="hours" value={String(console.maxSessionHours)} />
        <Field label={t("health.idle")} name="idle" value={String(console.idleStopMinutes)} />
        {console.providers.map(({ provider, enabled, maxHourlyPrice }) => {
          const name = t(`provider.${provider}`);
          return (
            <div key={provider} class="stack">
              <label class="row">
                <input type="checkbox" name={`use ${provider}`} defaultChecked={enabled} /> {t("health.use", { provider: name })}
              </label>
              <Field label={t("health.most", { provider: name })} name={`most ${provider}`} value={maxHourlyPrice ?? ""} optional />
            </div>
          );
        })}
        <ErrorMessage error={mutation.error} />
        <p class="actions">
          <button type="button" onClick={close}>
            {t("app.cancel")}
          </button>
          <button type="submit" class="primary" disabled={mutation.busy}>
            {t("health.save")}
          </button>
        </p>
      </form>
    </Dialog>
  );
}

function Field({ label, name, value, optional }: { label: string; name: string; value: string; optional?: boolean }) {
  return (
    <label class="field">
      {label}
      <input name={name} defaultValue={value} required={!optional} />
    </label>
  );
}
