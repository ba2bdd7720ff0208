/* Server-sent events of a response, as the HTML standard parses them (§9.2.6). */

export interface RawEvent {
    id: string;
    type: string;
    data: string;
}

const EVENT_MAX = 8 * 1024 * 1024;

export async function* readEvents(body: ReadableStream<Uint8Array>): AsyncGenerator<RawEvent> {
    const reader = body.getReader();
    const decoder = new TextDecoder();
    let text = "";
    let size = 0;
    let event: RawEvent & { lines: string[] } = { id: "", type: "", data: "", lines: [] };
    try {
        for (;;) {
            const { done, value } = await reader.read();
            if (done)
                return; /* an event without its empty line was cut off */
            text += decoder.decode(value, { stream: true });
            if (size + text.length > EVENT_MAX)
                throw new Error("an event is too large");
            /* A CR at the very end may be half of a CR LF. */
            const whole = text.endsWith("\r") ? text.slice(0, -1) : text;
            const lines = whole.split(/\r\n|\n|\r/);
            text = (lines.pop() ?? "") + text.slice(whole.length);
            for (const line of lines) {
                if (line !== "") {
                    size += line.length;
                    take(event, line);
                    continue;
                }
                size = 0;
                if (event.lines.length > 0)
                    yield { id: event.id, type: event.type || "message", data: event.lines.join("\n") };
                event = { id: event.id, type: "", data: "", lines: [] };
            }
        }
    } finally {
        await reader.cancel().catch(() => undefined);
    }
}

function take(event: RawEvent & { lines: string[] }, line: string): void {
    const colon = line.indexOf(":");
    const field = colon < 0 ? line : line.slice(0, colon);
    const rest = colon < 0 ? "" : line.slice(colon + 1);
    const value = rest.startsWith(" ") ? rest.slice(1) : rest;
    if (field === "data")
        event.lines.push(value);
    else if (field === "event")
        event.type = value;
    else if (field === "id")
        event.id = value;
}
