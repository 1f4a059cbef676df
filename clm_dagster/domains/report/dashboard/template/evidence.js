// Evidence counts its use and reports it unless this is set. It is read before anything else runs.
process.env.SEND_ANONYMOUS_USAGE_STATS = "no";

await import("./node_modules/@evidence-dev/evidence/cli.js");
