/* What went wrong, in plain words, and what to do about it. */

import { clockIn, count } from "./format.js";

const SERVER = "The service can't take it right now";

function later(error) {
    return error.retryAfter
        ? `Try again at ${clockIn(error.retryAfter)} ` +
            `(in ${count(Math.ceil(error.retryAfter), "second")}).`
        : "Try again in a moment.";
}

/** Of an ApiError; other errors are faults of this page. */
export function inWords(error) {
    const said = error.detail ? ` It says: ${error.detail}` : "";
    switch (error.status) {
    case undefined:
        return `This page has made a mistake (${error.message}). Reload it; nothing is lost.`;
    case 0:
        return "The server can't be reached. Check the connection; " +
            "what was started goes on without this page.";
    case 401:
        return "Your sign-in has ended. Sign in again: what you have typed is kept.";
    case 404:
        return "It isn't there, or it isn't yours.";
    case 409:
        return `That came too late: the job has moved on.${said}`;
    case 413:
        return "That is too long: a message may have 256 KiB.";
    case 422:
        return `The server can't use that.${said}`;
    case 429:
        return `That was too much at once. ${later(error)}${said}`;
    case 502:
        return `A service that this needs has failed.${said} ${later(error)}`;
    case 503:
    case 504:
        return `${SERVER}.${said} ${later(error)}`;
    default:
        return `The server answered ${error.status}.${said}`;
    }
}
