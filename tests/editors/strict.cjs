// Judges YAML files by a schema with ajv in strict mode: node strict.cjs SCHEMA FILE…, run where its packages are.
// Prints {file: [faults]} as JSON. Strict mode raises for a schema that is not clean, and the exit code is 1 then.
const { createRequire } = require('node:module');
const { readFileSync } = require('node:fs');
const load = createRequire(`${process.cwd()}/`);
const Ajv = load('ajv').default;
const { parse } = load('yaml');

const [schema, ...files] = process.argv.slice(2);
const ajv = new Ajv({ strict: true, allErrors: true });
// Keywords of editors, which judge nothing.
ajv.addVocabulary(['markdownDescription', 'markdownEnumDescriptions']);
const judge = ajv.compile(JSON.parse(readFileSync(schema, 'utf8')));
const verdicts = {};
for (const file of files) {
  const fits = judge(parse(readFileSync(file, 'utf8'), { merge: true }));
  verdicts[file] = fits ? [] : judge.errors.map((error) => `${error.instancePath}: ${error.message}`);
}
process.stdout.write(JSON.stringify(verdicts));
