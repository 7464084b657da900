import type { ViewProps } from "../../views";
import type { Variables } from "../../graphql/client";
import { useCallback, useRef } from "preact/hooks";
import { useFollow, useQuery } from "../../graphql/hooks";
import { t } from "../../strings";
import { Skeleton } from "../../ui/messages";
import { Chooser } from "./chooser";
import { LaunchView } from "./launch";
import { Sessions } from "./sessions";
import "./play.css";

export default function Play({ viewer, route }: ViewProps) {
  const [, part, id] = route.path;
  if (part === "launch" && id) return <LaunchView key={id} id={id} />;
  return <Start viewer={viewer} route={route} />;
}

const PRESENT: Partial<Variables<"Sessions">> = {
  launchStatus: ["QUEUED", "RUNNING", "CANCELLING"],
  vmStatus: ["RUNNING", "STARTING", "STOPPING", "STOPPED"],
};

function Start({ viewer, route }: ViewProps) {
  const sessions = useQuery("Sessions", { userId: viewer.id, ...PRESENT }, { everySeconds: 60 });
  useReloadOnChanges(viewer.id, sessions.reload);
  // What is under way comes first, so nothing is shown before it is known: the rest would move.
  if (sessions.loading && !sessions.data) return <Skeleton rows={2} height="16rem" />;
  return (
    <>
      <h1>{t("play.title")}</h1>
      <div class="stack">
        <Sessions sessions={sessions.data} />
        <Chooser route={route} machines={sessions.data?.vms.edges.map((edge) => edge.node) ?? []} />
      </div>
    </>
  );
}

const AT_MOST_EVERY_MS = 1_000;

/** Calls `reload` after changes of the user's launches and machines, once for many at the same time. */
function useReloadOnChanges(userId: string, reload: () => void) {
  const waiting = useRef<number | undefined>(undefined);
  const soon = useCallback(() => {
    waiting.current ??= window.setTimeout(() => {
      waiting.current = undefined;
      reload();
    }, AT_MOST_EVERY_MS);
  }, [reload]);
  useFollow("LaunchChanges", { userId }, ({ launchChanges }) => launchChanges.launch && soon(), ({ launchChanges }) => ({
    after: launchChanges.cursor,
  }));
  useFollow("VmChanges", { userId }, ({ vmChanges }) => vmChanges.vm && soon(), ({ vmChanges }) => ({
    after: vmChanges.cursor,
  }));
}
