import { defineConfig } from "eslint/config";
import js from "@eslint/js";
import svelte from "eslint-plugin-svelte";
import globals from "globals";
import ts from "typescript-eslint";
import svelteConfig from "./svelte.config.js";

// Prettier decides on the form; these rules find mistakes.
export default defineConfig(
  { ignores: ["node_modules/", "src/lib/openapi.d.ts"] },
  { linterOptions: { reportUnusedDisableDirectives: "error" } },
  js.configs.recommended,
  ts.configs.strict,
  ts.configs.stylistic,
  svelte.configs.recommended,
  svelte.configs.prettier,
  { languageOptions: { globals: globals.browser } },
  {
    rules: {
      "@typescript-eslint/consistent-type-definitions": ["error", "type"],
      "@typescript-eslint/no-empty-function": ["error", { allow: ["arrowFunctions"] }], // says that a failure is passed over
      "@typescript-eslint/no-non-null-assertion": "off", // noUncheckedIndexedAccess leaves no other way where an index is known
      "@typescript-eslint/no-unused-vars": ["error", { argsIgnorePattern: "^_", varsIgnorePattern: "^_" }],
      eqeqeq: "error",
      "svelte/no-useless-mustaches": "off", // {" "} keeps a space at the edge of a block
      "svelte/prefer-svelte-reactivity": "off", // dates, maps and queries here are made, read and dropped
      "svelte/no-at-html-tags": "error",
      "svelte/button-has-type": "off",
      "svelte/no-target-blank": "error",
    },
  },
  {
    files: ["src/**"],
    languageOptions: { parserOptions: { projectService: true, extraFileExtensions: [".svelte"] } },
    rules: {
      "@typescript-eslint/no-floating-promises": "error",
      "@typescript-eslint/await-thenable": "error",
      "@typescript-eslint/switch-exhaustiveness-check": "error",
    },
  },
  {
    files: ["**/*.svelte", "**/*.svelte.ts"],
    languageOptions: { parserOptions: { parser: ts.parser, extraFileExtensions: [".svelte"], svelteConfig } },
  },
  { files: ["*.js", "*.mjs", "*.ts", "test/**"], languageOptions: { globals: globals.node } },
);
