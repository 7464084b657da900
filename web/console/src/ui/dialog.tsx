import type { ComponentChildren } from "preact";
import { useEffect, useId, useRef } from "preact/hooks";
import { t } from "../strings";
import { ErrorMessage } from "./messages";

/** A dialog above the page. Escape closes it; the focus returns to where it was. */
export function Dialog({ title, close, children }: { title: string; close: () => void; children: ComponentChildren }) {
  const element = useRef<HTMLDialogElement>(null);
  const titleId = useId();
  useEffect(() => {
    const opener = document.activeElement;
    element.current?.showModal();
    return () => opener instanceof HTMLElement && opener.focus();
  }, []);
  return (
    <dialog
      ref={element}
      aria-labelledby={titleId}
      onCancel={(event) => {
        event.preventDefault();
        close();
      }}
    >
      <h2 id={titleId}>{title}</h2>
      {children}
    </dialog>
  );
}

/** Asks before something is done that is hard to undo. */
export function Confirm(props: {
  title: string;
  children: ComponentChildren;
  action: string;
  busy: boolean;
  error?: unknown;
  danger?: boolean;
  confirm: () => void;
  close: () => void;
}) {
  return (
    <Dialog title={props.title} close={props.close}>
      {props.children}
      <ErrorMessage error={props.error} />
      <p class="actions">
        <button type="button" onClick={props.close}>
          {t("app.cancel")}
        </button>
        <button
          type="button"
          class={props.danger ? "danger" : "primary"}
          disabled={props.busy}
          onClick={props.confirm}
        >
          {props.action}
        </button>
      </p>
    </Dialog>
  );
}
