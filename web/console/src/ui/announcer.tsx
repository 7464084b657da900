import { useEffect, useState } from "preact/hooks";

let say: (text: string) => void = () => {};

/** Has screen readers read a sentence. */
export function announce(text: string): void {
  say(text);
}

/** Holds what `announce` was given last. The shell shows it once. */
export function Announcements() {
  const [text, setText] = useState("");
  useEffect(() => {
    say = setText;
  }, []);
  return (
    <div class="hidden" aria-live="polite">
      {text}
    </div>
  );
}
