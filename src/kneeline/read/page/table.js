/* The export: a table with one row an answer; each row carries a checksum (export.py reads and checks it). */

kneeline.columns = [
  "package_sha256", "rater_id", "case_id", "image_sha256", "structure", "region", "answer", "status",
  "first_at", "changed_at", "version", "phase", "rows", "check",
];

kneeline.crc32 = (text) => {
  let crc = -1;
  for (const byte of new TextEncoder().encode(text)) {
    crc ^= byte;
    for (let bit = 0; bit < 8; bit++) crc = (crc >>> 1) ^ (0xedb88320 & -(crc & 1));
  }
  return ((crc ^ -1) >>> 0).toString(16).padStart(8, "0");
};

/* An answer is a grade, or words (the comment); status tells "not_readable" and "taken_back" apart. */
kneeline.exported = (index, answers) => {
  const rows = [];
  const items = [...index.form, { name: "confidence", structure: "confidence" }, { name: "comment", structure: "comment" }];
  for (const one of index.cases) {
    for (const item of items) {
      const answer = answers.get(one.id)[item.name];
      if (!answer) continue;
      const status = answer.value === null ? "taken_back" : answer.value === "x" ? "not_readable" : "given";
      rows.push([
        index.package, index.rater, one.id, one.image, item.structure, item.region || "n/a",
        status === "given" ? String(answer.value) : "n/a", status,
        new Date(answer.first).toISOString(), new Date(answer.at).toISOString(), index.version, index.phase,
      ]);
    }
  }
  const cell = (text) => (/["\t]/.test(text) ? `"${text.replaceAll('"', '""')}"` : text);
  const lines = rows.map((row) => {
    const cells = [...row, String(rows.length)];
    return [...cells, kneeline.crc32(cells.join("\t"))].map(cell).join("\t");
  });
  return [kneeline.columns.join("\t"), ...lines].join("\n") + "\n";
};

/* Answers of an earlier export, or an Error that says why it is not taken. Nothing is taken of a file with a fault. */
kneeline.imported = (index, text) => {
  const lines = text.replace(/^\ufeff/, "").split(/\r?\n/).filter((line) => line);
  const cells = (line) => (line.match(/("([^"]|"")*"|[^\t]*)(\t|$)/g) || []).map((part) => part.replace(/\t$/, ""))
    .slice(0, kneeline.columns.length)
    .map((part) => (part.startsWith('"') ? part.slice(1, -1).replaceAll('""', '"') : part));
  if (!lines.length || lines[0] !== kneeline.columns.join("\t")) throw new Error("this is not an export of a reading page");
  const images = new Map(index.cases.map((one) => [one.id, one.image]));
  const items = new Map(index.form.map((item) => [`${item.structure}\t${item.region || "n/a"}`, item.name]));
  for (const name of ["confidence", "comment"]) items.set(`${name}\tn/a`, name);
  const scales = new Map(index.form.map((item) => [item.name, item.words.map(([grade]) => grade)]));
  scales.set("confidence", index.confidence.map(([grade]) => grade));
  const out = {};
  lines.slice(1).forEach((line, number) => {
    const values = cells(line);
    const row = Object.fromEntries(kneeline.columns.map((name, at) => [name, values[at]]));
    const fault = (why) => { throw new Error(`line ${number + 2}: ${why}`); };
    if (values.length !== kneeline.columns.length) fault("cells are missing");
    if (row.package_sha256 !== index.package) fault("it is an export of another package");
    if (row.rater_id !== index.rater) fault(`it is an export of reader ${row.rater_id}, this page is for ${index.rater}`);
    if (kneeline.crc32(values.slice(0, -1).join("\t")) !== row.check) fault("it was changed after the export");
    if (Number(row.rows) !== lines.length - 1) fault(`the file should have ${row.rows} rows, it has ${lines.length - 1}`);
    const name = items.get(`${row.structure}\t${row.region}`);
    if (images.get(row.case_id) !== row.image_sha256 || !name) fault("it is about something that is not on this page");
    let value = row.status === "taken_back" ? null : row.status === "not_readable" ? "x" : row.answer;
    if (row.status === "given" && name !== "comment") {
      value = Number(row.answer);
      if (!scales.get(name).includes(value)) fault(`${row.answer} is no grade of ${name}`);
    }
    (out[row.case_id] ||= {})[name] = { value, at: Date.parse(row.changed_at), first: Date.parse(row.first_at) };
  });
  return out;
};
