/* The list of knees: which are shown, in which order. What is chosen stands in the page's address after `#`, so that a
   knee's own page knows its neighbours. */

kneeline.list = {
  start: { q: "", show: "all", side: "", signal: "", effusion: "", flag: "", sort: "id", view: "table" },

  parse(text) {
    const given = new URLSearchParams(text.replace(/^#/, ""));
    return Object.fromEntries(Object.entries(this.start).map(([name, usual]) => [name, given.get(name) ?? usual]));
  },
  write(state) {
    const told = new URLSearchParams();
    for (const [name, usual] of Object.entries(this.start)) if (state[name] !== usual) told.set(name, state[name]);
    return told.toString();
  },

  rows(data) {
    return data.rows.map((values) => {
      const row = Object.fromEntries(data.columns.map((name, i) => [name, values[i]]));
      row.flags = row.flags.map((number) => data.flags[number]);
      row.text = [row.id, row.status === "ok" ? row.verdict : "set aside", row.reason, row.hand && "corrected by hand", ...row.flags].filter(Boolean).join(" ").toLowerCase();
      return row;
    });
  },

  shows: {
    all: () => true,
    look: (row) => row.status !== "ok" || row.verdict !== "ok" || row.flags.length > 0,
    ok: (row) => row.status === "ok" && row.verdict === "ok",
    review: (row) => row.status === "ok" && row.verdict === "review",
    unusable: (row) => row.status === "ok" && row.verdict === "unusable",
    aside: (row) => row.status !== "ok",
    hand: (row) => row.hand,
  },

  apply(rows, state) {
    const words = state.q.toLowerCase().split(/\s+/).filter(Boolean);
    const least = (value, grade) => grade === "" || (grade === "na" ? value === null : value !== null && value >= Number(grade));
    const wanted = this.shows[state.show] || this.shows.all;
    const found = rows.filter((row) => wanted(row) && (!state.side || row.side === state.side)
      && least(row.signal, state.signal) && least(row.effusion, state.effusion)
      && (!state.flag || row.flags.includes(state.flag)) && words.every((word) => row.text.includes(word)));
    const [name, down] = state.sort.startsWith("-") ? [state.sort.slice(1), -1] : [state.sort, 1];
    const orders = { ok: 2, review: 1, unusable: 0 };
    const value = (row) => {
      if (name === "flags") return row.flags.length;
      if (name === "verdict") return row.status !== "ok" ? -1 : orders[row.verdict] ?? 1.5;
      return row[name] ?? null;
    };
    // What is missing comes last in either direction; ties keep the order of the scans table.
    return found.map((row) => [value(row), row]).sort(([a, one], [b, other]) => {
      if (a === null || b === null) return (a === null) - (b === null) || one.at - other.at;
      return (a < b ? -1 : a > b ? 1 : 0) * down || one.at - other.at;
    }).map(([, row]) => row);
  },
};

/* A script beside the page: its call gives what it brings. */
kneeline.bring = function (source, call, charset = "utf-8") {
  return new Promise((resolve, reject) => {
    window[call] = (...brought) => resolve(brought);
    const script = Object.assign(document.createElement("script"), { src: source, charset });
    script.onload = () => reject(new Error("the file beside this page is damaged; copy the whole folder again"));
    script.onerror = () => reject(new Error("the file beside this page is missing; copy the whole folder, not the page alone"));
    document.head.append(script);
  });
};
