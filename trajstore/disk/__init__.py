"""The only system calls that change a disk: durable writes, locks; and sealed files, mapped."""
