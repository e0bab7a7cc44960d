"""Isomorph: how alike are two representation spaces, beyond chance, where, and can it be used?"""
