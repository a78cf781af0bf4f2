// Compiles the Solidity contracts into TypeScript artifacts (not committed).
