/**
 * Compiles native/fast-path/programs.bpf.c with clang and puts the byte code into native/fast-path/program.h, which is checked in: users
 * need no clang. Done at release time, and by whoever changes the programs.
 *   node scripts/fast-path.mjs           compiles it again and says whether program.h is what comes out
 *   node scripts/fast-path.mjs --write   writes program.h
 */
import { execFile } from 'node:child_process';
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';

const run = promisify(execFile);
const folder = path.join(import.meta.dirname, '../native/fast-path');
const SOURCE = path.join(folder, 'programs.bpf.c');
const OUTPUT = path.join(folder, 'program.h');
const FLAGS = ['-target', 'bpf', '-mcpu=v3', '-O2', '-Wall', '-Wextra', '-Werror'];
/** The kernel's headers of this machine: Debian has asm/ in a folder of the architecture. */
const INCLUDES = ['x86_64-linux-gnu', 'aarch64-linux-gnu'].flatMap((name) => [
  '-idirafter',
  `/usr/include/${name}`,
]);
const PROGRAMS = { fast_out: 'tc/out', fast_in: 'tc/in', fast_merged: 'tc/merged' };
/** In the order of the descriptors that native/bpf.c puts in their places. */
const MAPS = ['config', 'peers', 'counts'];

const LOAD_64 = 0x18;
const PSEUDO_MAP_FD = 1;
const INSTRUCTION_BYTES = 8;

/** The parts of a 64-bit little-endian ELF file that are needed: sections by name, symbols by number. */
function readElf(bytes) {
  const tableAt = Number(bytes.readBigUInt64LE(0x28));
  const count = bytes.readUInt16LE(0x3c);
  const headers = Array.from({ length: count }, (_, i) => {
    const at = tableAt + i * 64;
    const begin = Number(bytes.readBigUInt64LE(at + 24));
    const size = Number(bytes.readBigUInt64LE(at + 32));
    return { nameAt: bytes.readUInt32LE(at), link: bytes.readUInt32LE(at + 40), begin, size };
  });
  const content = ({ begin, size }) => bytes.subarray(begin, begin + size);
  const textAt = (table, at) => table.toString('latin1', at, table.indexOf(0, at));
  const names = content(headers[bytes.readUInt16LE(0x3e)]);
  const sections = new Map(headers.map((each) => [textAt(names, each.nameAt), each]));
  const table = sections.get('.symtab');
  const texts = content(headers[table.link]);
  const symbols = content(table);
  return {
    section: (name) => content(sections.get(name)),
    symbol: (number) => textAt(texts, symbols.readUInt32LE(number * 24)),
  };
}

/** A program's instructions, 64 bits each; those that load a map carry its number in MAPS. */
function instructionsOf(elf, section) {
  const code = Buffer.from(elf.section(section));
  const relocations = elf.section(`.rel${section}`);
  for (let at = 0; at < relocations.length; at += 16) {
    const place = Number(relocations.readBigUInt64LE(at));
    const name = elf.symbol(relocations.readUInt32LE(at + 12));
    const map = MAPS.indexOf(name);
    if (code[place] !== LOAD_64 || map < 0)
      throw new Error(`${section}: unexpected reference to ${name}`);
    code[place + 1] = (code[place + 1] & 0x0f) | (PSEUDO_MAP_FD << 4);
    code.writeInt32LE(map, place + 4);
  }
  return Array.from({ length: code.length / INSTRUCTION_BYTES }, (_, i) =>
    code.readBigUInt64LE(i * INSTRUCTION_BYTES),
  );
}

function arrayOf(name, instructions) {
  const words = instructions.map((word) => `0x${word.toString(16).padStart(16, '0')},`);
  const lines = Array.from({ length: Math.ceil(words.length / 5) }, (_, i) =>
    `  ${words.slice(i * 5, i * 5 + 5).join(' ')}`.trimEnd(),
  );
  return `static const uint64_t ${name}_code[] = {\n${lines.join('\n')}\n};\n`;
}

async function compilerVersion() {
  const { stdout } = await run('clang', ['--version']);
  return /version (\d+)/.exec(stdout)?.[1] ?? 'unknown';
}

/** The text of program.h, by this machine's clang. */
async function compile() {
  const work = await mkdtemp(path.join(tmpdir(), 'weft-fast-path-'));
  try {
    const object = path.join(work, 'programs.o');
    await run('clang', [...FLAGS, ...INCLUDES, '-c', SOURCE, '-o', object]);
    const elf = readElf(await readFile(object));
    const licence = elf.section('licence').toString('latin1').replace(/\0.*/s, '');
    const arrays = Object.entries(PROGRAMS).map(([name, section]) =>
      arrayOf(name, instructionsOf(elf, section)),
    );
    return `/* SPDX-License-Identifier: ${licence} */
/*
 * Made of programs.bpf.c by scripts/fast-path.mjs with clang ${await compilerVersion()}; not written by hand. One word an instruction, as the kernel takes
 * them on a little-endian host; an instruction that loads a map has its number: ${MAPS.map((name, i) => `${i} ${name}`).join(', ')}.
 */
/* clang-format off */
#include <stdint.h>

#define FAST_LICENCE "${licence}"

${arrays.join('\n')}`;
  } finally {
    await rm(work, { recursive: true, force: true });
  }
}

const versionIn = (text) => /with clang (\S+);/.exec(text)?.[1];

/** What is wrong with program.h, '' if nothing. Another clang makes other code of the same source: then it only has to compile. */
export async function checkPrograms() {
  const [now, made] = [await readFile(OUTPUT, 'utf8'), await compile()];
  if (now === made || versionIn(now) !== versionIn(made)) return '';
  return 'native/fast-path/program.h is not what programs.bpf.c compiles to: run node scripts/fast-path.mjs --write\n';
}

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  if (process.argv.includes('--write')) await writeFile(OUTPUT, await compile());
  const complaint = await checkPrograms();
  process.stderr.write(complaint);
  process.exitCode = complaint === '' ? 0 : 1;
}
